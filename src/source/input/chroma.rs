//! Rows of chroma from outside, brought to half the width and half the height.

use crate::color::both;

/// Two rows of half the width become one: each sample the mean of two.
pub fn mean_of_two([upper, lower]: [&[u8]; 2], mean: &mut [u8]) {
    for (mean, (&upper, &lower)) in mean.iter_mut().zip(upper.iter().zip(lower)) {
        *mean = (u16::from(upper) + u16::from(lower)).div_ceil(2) as u8;
    }
}

/// Two rows of full width become one of half the width: each sample the mean of four.
pub fn mean_of_four([upper, lower]: [&[u8]; 2], mean: &mut [u8]) {
    for (mean, (upper, lower)) in mean.iter_mut().zip(upper.chunks_exact(2).zip(lower.chunks_exact(2))) {
        let ([a, b], [c, d]) = (both(upper).map(u16::from), both(lower).map(u16::from));
        *mean = ((a + b + c + d + 2) / 4) as u8;
    }
}
