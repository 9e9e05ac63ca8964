//! What takes luma and chroma of any matrix and range to BT.709 in limited range, a row at a time and in place.
//!
//! The loops are made for the vector instructions that every x86-64 has: 16-bit lanes, no branches, and factors that the
//! compiler knows, without which it would multiply in 32 bits, at a fifth of the speed.

use crate::color::{self, both};
use crate::settings::{ColorRange, Matrix};

const _: () = assert!(
    color::MATRIX_COEFFICIENTS == 1 && !color::FULL_RANGE,
    "what comes out is BT.709 in limited range, which is what the VUI announces"
);

/// How samples that are not BT.709 in limited range become so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Samples of BT.709, in full range.
    Range,
    /// Samples of BT.601, in limited range.
    Matrix,
    /// Samples of BT.601, in full range.
    Both,
}

/// What a sample counts in a product: 2 to the power of 14 is once.
type Gain = i16;

/// The numbers of a correction.
struct Terms {
    /// What Y, Cb and Cr count in luma.
    luma: [Gain; 3],
    /// What luma is where all three are 128.
    luma_base: i16,
    /// What Cb and Cr count in Cb.
    cb: [Gain; 2],
    /// What Cb and Cr count in Cr.
    cr: [Gain; 2],
    /// What chroma is where both are 128.
    chroma_base: i16,
}

impl Terms {
    /// For samples of BT.601 or of BT.709, in full or in limited range.
    const fn new(bt601: bool, full: bool) -> Self {
        let (black, luma, chroma) = if full { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        let ([of_y, _, _], of_cb, of_cr) = if bt601 {
            let of = color::bt709_from_bt601;
            (of([1.0, 0.0, 0.0]), of([0.0, 1.0, 0.0]), of([0.0, 0.0, 1.0]))
        } else {
            ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
        };
        let luma_gain = of_y * 219.0 / luma;
        Self {
            luma: [gain(luma_gain), gain(of_cb[0] * 219.0 / chroma), gain(of_cr[0] * 219.0 / chroma)],
            luma_base: base(16.0 + luma_gain * (128.0 - black), if bt601 { 3 } else { 1 }),
            cb: [gain(of_cb[1] * 224.0 / chroma), gain(of_cr[1] * 224.0 / chroma)],
            cr: [gain(of_cb[2] * 224.0 / chroma), gain(of_cr[2] * 224.0 / chroma)],
            chroma_base: base(128.0, if bt601 { 2 } else { 1 }),
        }
    }
}

const fn gain(times: f64) -> Gain {
    (times * 16384.0 + if times < 0.0 { -0.5 } else { 0.5 }) as Gain
}

/// Bits behind the point of a product and of a sum.
const FRACTION: u32 = 6;

/// A value to add products to: with half a code, for the sum is rounded down, and half a step for each product, for so are
/// they.
const fn base(value: f64, products: u32) -> i16 {
    ((value + 0.5) * (1 << FRACTION) as f64 + products as f64 / 2.0) as i16
}

/// `(sample - 128) * gain`.
#[inline(always)]
fn product(sample: u8, gain: Gain) -> i16 {
    let wide = (i16::from(sample) - 128) << 8;
    ((i32::from(wide) * i32::from(gain)) >> 16) as i16
}

/// The nearest code to a sum; beyond the ends there are none.
#[inline(always)]
fn code(sum: i16) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}

impl Correction {
    /// For samples of this matrix and range; `None` where there is nothing to correct.
    pub fn new(matrix: Matrix, range: ColorRange) -> Option<Self> {
        match (matrix, range) {
            (Matrix::Bt709, ColorRange::Limited) => None,
            (Matrix::Bt709, ColorRange::Full) => Some(Self::Range),
            (Matrix::Bt601, ColorRange::Limited) => Some(Self::Matrix),
            (Matrix::Bt601, ColorRange::Full) => Some(Self::Both),
        }
    }

    /// Corrects a row of luma, with the chroma that it came with: a sample for each of luma or, where there are fewer, for
    /// each two.
    pub fn luma(self, y: &mut [u8], cb: &[u8], cr: &[u8]) {
        match self {
            Self::Range => luma::<false, true>(y, cb, cr),
            Self::Matrix => luma::<true, false>(y, cb, cr),
            Self::Both => luma::<true, true>(y, cb, cr),
        }
    }

    /// Corrects a row of chroma.
    pub fn chroma(self, cb: &mut [u8], cr: &mut [u8]) {
        match self {
            Self::Range => chroma::<false, true>(cb, cr),
            Self::Matrix => chroma::<true, false>(cb, cr),
            Self::Both => chroma::<true, true>(cb, cr),
        }
    }
}

fn luma<const BT601: bool, const FULL: bool>(y: &mut [u8], cb: &[u8], cr: &[u8]) {
    let Terms { luma: [of_y, of_cb, of_cr], luma_base, .. } = const { Terms::new(BT601, FULL) };
    let of_chroma = |cb, cr| luma_base + product(cb, of_cb) + product(cr, of_cr);
    if !BT601 {
        // Luma and chroma are what they were to one another.
        y.iter_mut().for_each(|y| *y = code(luma_base + product(*y, of_y)));
    } else if cb.len() >= y.len() {
        for (y, (&cb, &cr)) in y.iter_mut().zip(cb.iter().zip(cr)) {
            *y = code(of_chroma(cb, cr) + product(*y, of_y));
        }
    } else {
        for (pair, (&cb, &cr)) in y.chunks_exact_mut(2).zip(cb.iter().zip(cr)) {
            let shared = of_chroma(cb, cr);
            pair.copy_from_slice(&both(pair).map(|y| code(shared + product(y, of_y))));
        }
    }
}

fn chroma<const BT601: bool, const FULL: bool>(cb: &mut [u8], cr: &mut [u8]) {
    let Terms { cb: in_cb, cr: in_cr, chroma_base, .. } = const { Terms::new(BT601, FULL) };
    if BT601 {
        for (cb, cr) in cb.iter_mut().zip(cr) {
            let (b, r) = (*cb, *cr);
            *cb = code(chroma_base + product(b, in_cb[0]) + product(r, in_cb[1]));
            *cr = code(chroma_base + product(b, in_cr[0]) + product(r, in_cr[1]));
        }
    } else {
        cb.iter_mut().for_each(|cb| *cb = code(chroma_base + product(*cb, in_cb[0])));
        cr.iter_mut().for_each(|cr| *cr = code(chroma_base + product(*cr, in_cr[1])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_full_range_becomes_the_nearest_one_of_limited_range() {
        let all: Vec<u8> = (0..=255).collect();
        let (mut y, mut cb, mut cr) = (all.clone(), all.clone(), all.clone());
        Correction::Range.luma(&mut y, &all, &all);
        Correction::Range.chroma(&mut cb, &mut cr);
        for at in 0..=255 {
            let (luma, chroma) = (at as f64 * 219.0 / 255.0 + 16.0, (at as f64 - 128.0) * 224.0 / 255.0 + 128.0);
            assert!((f64::from(y[at]) - luma).abs() < 0.52, "{at}: {} for {luma}", y[at]);
            assert!((f64::from(cb[at]) - chroma).abs() < 0.52, "{at}: {} for {chroma}", cb[at]);
        }
        assert_eq!(cb, cr);
    }

    #[test]
    fn grey_stays_grey_and_nothing_wraps_around() {
        let ends = [0, 0, 255, 255, 0, 255, 0, 255];
        for correction in [Correction::Range, Correction::Matrix, Correction::Both] {
            let (mut cb, mut cr) = ([128; 4], [128; 4]);
            correction.chroma(&mut cb, &mut cr);
            assert_eq!((cb, cr), ([128; 4], [128; 4]), "{correction:?}");
            let mut y = [128; 8];
            correction.luma(&mut y, &cb, &cr);
            assert_eq!(y, if correction == Correction::Matrix { [128; 8] } else { [126; 8] }, "{correction:?}");
            // Each corner of the cube of all codes keeps to its side.
            for cb in [0, 255] {
                for cr in [0, 255] {
                    let mut y = ends;
                    correction.luma(&mut y, &[cb; 8], &[cr; 8]);
                    assert!(y.iter().zip(ends).all(|(&it, end)| it.abs_diff(end) < 64), "{correction:?}: {y:?}");
                    let (mut blue, mut red) = ([cb], [cr]);
                    correction.chroma(&mut blue, &mut red);
                    assert!(blue[0].abs_diff(cb) < 34 && red[0].abs_diff(cr) < 34, "{correction:?}: {blue:?} {red:?}");
                }
            }
        }
    }
}
