//! The numbers of a picture that a shader is given. A `float` has 24 bits: counted from the start of a stream, seconds
//! would have steps of 16 ms after two days and of 63 ms after a week, and pictures would stutter.

use std::time::Duration;

/// `iTime` starts over after so long. 710 s is 113 turns of a circle to within 0.06 thousandths, so `sin(iTime * k)` and
/// `fract(iTime * k)` go on without a jump for every k that is a multiple of 0.1; and up to here a `float` counts in steps
/// of half a millisecond or less.
const PERIOD: Duration = Duration::from_secs(7100);

/// `iFrame` starts over after so many: a multiple of every number up to 16, so that `iFrame % n` goes on as well, and
/// small enough that `float(iFrame)` is exact.
const FRAMES: u64 = 14_414_400;

/// `iTime` in seconds, `pts` after the start of the stream.
pub fn time(pts: Duration) -> f32 {
    let rest = pts.as_nanos() % PERIOD.as_nanos();
    (rest as f64 / 1e9) as f32
}

/// `iFrame` of the picture that is number `index` of the stream.
pub fn frame(index: u64) -> i32 {
    (index % FRAMES) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    #[test]
    fn at_any_age_pictures_are_a_frame_interval_apart() {
        for age in [Duration::ZERO, WEEK, 52 * WEEK, 520 * WEEK] {
            for rate in [24, 60, 240] {
                let interval = Duration::from_secs(1) / rate;
                // More than a whole period, so that a seam is among them.
                for number in (0..7200 * rate).step_by(97) {
                    let pts = age + interval * number;
                    let step = time(pts + interval) - time(pts);
                    let step = if step < 0.0 { step + PERIOD.as_secs_f32() } else { step };
                    let off = (step - interval.as_secs_f32()).abs();
                    assert!(off < 0.001, "{step} s at {pts:?} and {rate} frames/s");
                }
            }
        }
    }

    #[test]
    fn circles_and_fractions_have_no_seam() {
        let before = (PERIOD - Duration::from_micros(1)).as_secs_f64();
        for tenths in 1..=100 {
            let rate = f64::from(tenths) / 10.0;
            let jump = ((before * rate).sin() - 0.0).abs();
            assert!(jump < 0.007, "sin(iTime * {rate}) jumps by {jump}");
            let whole = PERIOD.as_secs_f64() * rate;
            assert!((whole - whole.round()).abs() < 1e-9, "fract(iTime * {rate})");
        }
    }

    #[test]
    fn frames_are_counted_for_years() {
        assert_eq!((frame(0), frame(FRAMES - 1), frame(FRAMES)), (0, 14_414_399, 0));
        assert!(frame(u64::MAX) >= 0 && FRAMES < 1 << 24);
        assert!((1..=16).all(|n| FRAMES % n == 0));
    }
}
