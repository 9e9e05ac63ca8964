//! Which quantiser each picture gets, so that a stream keeps its bitrate and its pictures their quality.
//!
//! All macroblocks of a picture share one. A picture takes bits in inverse proportion to its quantiser's step, so the bits of
//! the last one times its step say what the next one costs. An IDR takes several times the bits of the pictures around it;
//! that is planned: they are spread over the pictures up to the next one, instead of being taken from those right behind it.

use std::time::Duration;

/// The finest quantiser of a stream: about 50 dB. Finer ones cost bits and time for what nobody sees.
const FINEST: f64 = 14.0;
/// The coarsest quantiser of what can be predicted. With a coarser one, pictures are predicted from each other so badly that
/// they take more bits rather than fewer: those of a moving camera twice as many at 51 as at 46.
const COARSE: f64 = 46.0;
/// The coarsest one that H.264 has: for noise, which cannot be predicted, and takes half of the bits of [`COARSE`].
const COARSEST: f64 = 51.0;
/// How many times its share of the bitrate a picture of noise takes.
const NOISE: f64 = 4.0;
/// The time in which bits that were spent too many or too few are made up for, in seconds.
const MAKE_UP: f64 = 0.5;
/// The most seconds of the bitrate that were not spent and may be later.
const CREDIT: f64 = 0.25;
/// The most seconds of the bitrate that are spent too much and made up for. The rest is let off: the pictures were not to
/// be had for less, and those behind them are not to pay for it.
const DEBT: f64 = 0.5;
/// The most that an IDR is to take, in seconds of the bitrate; but [`IDR_PICTURES`] where those last longer.
const IDR_TIME: f64 = 0.5;
/// See [`IDR_TIME`].
const IDR_PICTURES: f64 = 4.0;
/// The most that it is to take of what comes until the next one.
const IDR_SHARE: f64 = 0.75;
/// The longest time that an IDR is paid off in, in seconds.
const PAY_OFF: f64 = 2.0;
/// How many times the bits of the other pictures an IDR takes where they show the same, so that it needs a quantiser as
/// fine as theirs. Where all moves it takes fewer, and one as good to look at is coarser by [`PER_OCTAVE`] each time the
/// ratio is halved.
const STILL: f64 = 10.0;
/// See [`STILL`].
const PER_OCTAVE: f64 = 2.0;
/// An IDR takes bits in inverse proportion to this power of its quantiser's step.
const IDR_POWER: f64 = 0.6;

/// The rate control of a stream.
#[derive(Debug)]
pub struct Rate {
    /// Bits a second.
    bitrate: f64,
    /// Seconds from one picture to the next, as long as none is skipped.
    interval: f64,
    /// Whether all pictures are IDRs, and none can pay off another.
    all_idr: bool,
    /// The most bits that an IDR is to take.
    idr_bits: f64,
    /// How many pictures pay off an IDR.
    payers: f64,
    /// What is spent beyond the bitrate, in bits, without what is planned.
    debt: f64,
    /// What IDRs have taken beyond their share and later pictures are to pay off.
    planned: f64,
    /// What of it a picture pays off.
    instalment: f64,
    /// Bits that a picture takes with a step of 1, if it is no IDR; 0 before the first.
    cost: f64,
    /// The same of an IDR.
    idr_cost: f64,
    /// Of the last picture that was no IDR.
    quantiser: f64,
    /// Of the last ones.
    recent: f64,
    /// How many times a picture's share of the bitrate the last one took.
    excess: f64,
    /// How many in turn took more than twice of what they were to.
    overruns: i32,
    last: Option<Duration>,
    /// Bits that come with the time of the picture that is encoded now.
    due: f64,
    /// Bits that it is to take.
    target: f64,
}

impl Rate {
    /// For a stream of `bitrate` bits a second with pictures of `pixels` an `interval` apart, each `gop`th an IDR.
    pub fn new(bitrate: u32, interval: Duration, gop: u32, pixels: usize) -> Self {
        let (bitrate, interval) = (f64::from(bitrate), interval.as_secs_f64());
        let per_pixel = bitrate * interval / pixels as f64;
        let first = (30.0 - 2.5 * (per_pixel / 0.08).log2()).clamp(20.0, 40.0);
        Self {
            bitrate,
            interval,
            all_idr: gop == 1,
            idr_bits: bitrate * IDR_TIME.max(IDR_PICTURES * interval).min(IDR_SHARE * f64::from(gop) * interval),
            payers: f64::from(gop.max(2) - 1).min(PAY_OFF / interval).max(1.0),
            debt: 0.0,
            planned: 0.0,
            instalment: 0.0,
            cost: 0.0,
            idr_cost: 0.0,
            quantiser: first,
            recent: first,
            excess: 1.0,
            overruns: 0,
            last: None,
            due: 0.0,
            target: 0.0,
        }
    }

    /// The quantiser of the next picture, which is shown at `pts`.
    pub fn quantiser(&mut self, pts: Duration, is_idr: bool) -> u8 {
        let since = self.last.map_or(self.interval, |last| pts.saturating_sub(last).as_secs_f64());
        self.last = Some(pts);
        self.due = self.bitrate * since.min(CREDIT.max(self.interval));
        let wanted = if is_idr && !self.all_idr { self.of_idr() } else { self.of_other() };
        wanted.clamp(FINEST, if self.excess > NOISE || self.all_idr { COARSEST } else { COARSE }).round() as u8
    }

    /// As good to look at as the pictures before it.
    fn of_idr(&mut self) -> f64 {
        if self.idr_cost == 0.0 || self.cost == 0.0 {
            return self.recent;
        }
        let step = step_of(self.recent);
        let times = self.idr_cost / step.powf(IDR_POWER) / (self.cost / step);
        let coarser = PER_OCTAVE * (STILL / times).log2();
        let coarse_enough = quantiser_of((self.idr_cost / self.idr_bits).powf(1.0 / IDR_POWER));
        (self.recent + coarser.clamp(0.0, 4.0)).max(coarse_enough)
    }

    /// What brings the bitrate about.
    fn of_other(&mut self) -> f64 {
        let usual = self.bitrate * self.interval;
        let wanted = self.due - self.paid() - self.debt * self.due / (MAKE_UP * self.bitrate);
        self.target = wanted.clamp(usual / 4.0, 2.0 * self.due.max(usual));
        if self.cost == 0.0 {
            return self.quantiser;
        }
        let up = 3.0 * f64::from(1 << self.overruns.min(4));
        // What stands still takes nothing until its quantiser is fine enough, and then much at once: no sooner than it is paid.
        let down = 2.0 * (1.0 - self.debt / (self.bitrate * DEBT / 2.0)).clamp(0.0, 1.0);
        quantiser_of(self.cost / self.target).clamp(self.quantiser - down, self.quantiser + up)
    }

    /// What the picture that is encoded now pays off.
    fn paid(&self) -> f64 {
        let paid = self.instalment * (self.due / (self.bitrate * self.interval));
        if self.planned > 0.0 { paid.clamp(0.0, self.planned) } else { paid.clamp(self.planned, 0.0) }
    }

    /// Learns that the picture took so many bits at this quantiser.
    pub fn took(&mut self, bits: usize, quantiser: u8, is_idr: bool) {
        let (bits, quantiser) = (bits as f64, f64::from(quantiser));
        let cost = bits * step_of(quantiser);
        if is_idr && !self.all_idr {
            let cost = bits * step_of(quantiser).powf(IDR_POWER);
            self.idr_cost = if self.idr_cost == 0.0 { cost } else { (self.idr_cost + cost) / 2.0 };
            self.planned += bits - self.due;
            self.instalment = self.planned / self.payers;
            // Pictures behind one that had to be coarse become finer step by step: at once would take as many bits again.
            self.quantiser = self.quantiser.max(quantiser);
            return;
        }
        let paid = self.paid();
        self.planned -= paid;
        self.debt = (self.debt + bits - self.due + paid).clamp(-CREDIT * self.bitrate, DEBT * self.bitrate);
        // What has become dearer is believed at once, since it is bits that are gone; what has become cheaper, in steps.
        self.cost += (cost - self.cost)
            * if cost > 2.0 * self.cost {
                1.0
            } else if cost < self.cost / 2.0 {
                0.5
            } else {
                0.3
            };
        self.excess = bits / (self.bitrate * self.interval);
        self.overruns = if bits > 2.0 * self.target { self.overruns + 1 } else { 0 };
        self.quantiser = quantiser;
        self.recent += (quantiser - self.recent) * 0.2;
    }
}

/// The step of a quantiser, H.264 section 8.5.9: 1 at 4, and twice as much each 6.
fn step_of(quantiser: f64) -> f64 {
    ((quantiser - 4.0) / 6.0).exp2()
}

/// The quantiser of a step.
fn quantiser_of(step: f64) -> f64 {
    4.0 + 6.0 * step.log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream whose pictures take what they cost, as the model has it: `cost` of each, and that of an IDR.
    struct Stream {
        rate: Rate,
        fps: f64,
        gop: u32,
        index: u32,
        /// Of each picture: its quantiser and its bits.
        pictures: Vec<(u8, f64)>,
    }

    impl Stream {
        fn new(bitrate: u32, fps: f64, gop: u32) -> Self {
            let rate = Rate::new(bitrate, Duration::from_secs_f64(1.0 / fps), gop, 1280 * 720);
            Self { rate, fps, gop, index: 0, pictures: Vec::new() }
        }

        fn show(&mut self, pictures: u32, cost: f64, idr_cost: f64) -> &mut Self {
            for _ in 0..pictures {
                let is_idr = self.index % self.gop == 0;
                let quantiser = self.rate.quantiser(Duration::from_secs_f64(f64::from(self.index) / self.fps), is_idr);
                let step = step_of(quantiser.into());
                let bits = if is_idr { idr_cost / step.powf(IDR_POWER) } else { cost / step };
                self.rate.took(bits as usize, quantiser, is_idr);
                self.pictures.push((quantiser, bits));
                self.index += 1;
            }
            self
        }

        /// Bits a second of the pictures from `first` on.
        fn bitrate(&self, first: usize) -> f64 {
            let pictures = &self.pictures[first..];
            pictures.iter().map(|it| it.1).sum::<f64>() * self.fps / pictures.len() as f64
        }
    }

    #[test]
    fn the_bitrate_is_kept_whatever_the_frame_rate_and_the_gop() {
        for fps in [5.0, 15.0, 30.0, 60.0, 120.0, 240.0] {
            for gop in [1, 2, 5, 30, 240, 3600] {
                let mut stream = Stream::new(6_000_000, fps, gop);
                let share = 6e6 / fps;
                stream.show(1200, share * step_of(28.0), 3.0 * share * step_of(30.0).powf(IDR_POWER));
                let kept = stream.bitrate(600) / 6e6;
                assert!((0.85..1.05).contains(&kept), "{fps} pictures/s, GOP {gop}: {kept:.3} of the bitrate");
            }
        }
    }

    #[test]
    fn an_idr_is_paid_off_by_all_pictures_behind_it() {
        let mut stream = Stream::new(6_000_000, 60.0, 60);
        stream.show(600, 1.6e6, 6e6);
        for idr in (300..600).step_by(60) {
            let behind: Vec<_> = stream.pictures[idr + 1..idr + 60].iter().map(|it| it.0).collect();
            let (finest, coarsest) = (*behind.iter().min().unwrap(), *behind.iter().max().unwrap());
            assert!(coarsest - finest <= 1, "{behind:?}");
            let before = stream.pictures[idr - 1].0;
            assert!(stream.pictures[idr].0.abs_diff(before) <= 4, "{before} before, {} then", stream.pictures[idr].0);
        }
    }

    #[test]
    fn where_nothing_moves_an_idr_is_as_fine_as_the_pictures_before_it() {
        let mut stream = Stream::new(6_000_000, 60.0, 60);
        stream.show(300, 1e4, 3e6);
        assert_eq!(stream.pictures[119].0, FINEST as u8);
        assert!(stream.pictures[120].0 <= FINEST as u8 + 1, "{:?}", stream.pictures[120]);
    }

    #[test]
    fn what_takes_more_all_at_once_is_coarse_after_four_pictures_and_fine_again_after_a_second() {
        let mut stream = Stream::new(6_000_000, 60.0, 3600);
        stream.show(120, 1.6e6, 6e6).show(4, 3e8, 3e8);
        stream.show(1, 3e8, 3e8);
        assert_eq!(stream.pictures.last().unwrap().0, COARSEST as u8, "{:?}", &stream.pictures[118..]);
        stream.show(60, 1.6e6, 6e6);
        let (before, after) = (stream.pictures[119].0, stream.pictures.last().unwrap().0);
        assert!(after <= before + 4, "{before} before, {after} a second later");
    }

    #[test]
    fn pictures_that_come_rarely_have_the_bits_of_those_that_were_skipped() {
        let mut rate = Rate::new(6_000_000, Duration::from_secs_f64(1.0 / 60.0), 3600, 1280 * 720);
        let mut quantisers = Vec::new();
        for index in 0..200_u32 {
            let apart = if index < 100 { 1 } else { 6 };
            let at = Duration::from_secs_f64(f64::from(index.min(100) + index.saturating_sub(100) * apart) / 60.0);
            let quantiser = rate.quantiser(at, index == 0);
            rate.took((3.2e6 / step_of(quantiser.into())) as usize, quantiser, index == 0);
            quantisers.push(quantiser);
        }
        assert!(quantisers[199] + 10 < quantisers[99], "{quantisers:?}");
    }

    #[test]
    fn no_picture_is_out_of_range_whatever_it_takes() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        };
        for gop in [1, 3, 60] {
            let mut rate = Rate::new(64_000, Duration::from_millis(16), gop, 64 * 64);
            let mut at = Duration::ZERO;
            for _ in 0..10_000 {
                let is_idr = random() % u64::from(gop) == 0;
                let quantiser = rate.quantiser(at, is_idr);
                assert!((FINEST as u8..=COARSEST as u8).contains(&quantiser));
                // Nothing at all, and time that stands still or jumps, as well.
                rate.took((random() % 3 * random() / 3) as usize, quantiser, is_idr);
                at += Duration::from_millis(random() % 4 * 16 * (1 + random() % 100 / 99 * 1000));
            }
        }
    }
}
