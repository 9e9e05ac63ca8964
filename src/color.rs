//! The one truth about colour: BT.709, limited range.
//!
//! The conversion on the CPU, the shader on the GPU and the VUI in the bitstream all take their numbers from
//! here, so that what is written and what is announced cannot drift apart.

/// Luma weight of red, ITU-R BT.709-6 item 3.2.
pub const KR: f64 = 0.2126;
/// Luma weight of blue, ITU-R BT.709-6 item 3.2.
pub const KB: f64 = 0.0722;
/// Luma weight of green: what the other two leave.
pub const KG: f64 = 1.0 - KR - KB;

/// `colour_primaries` in the VUI, H.264 table E-3: BT.709.
pub const COLOUR_PRIMARIES: u8 = 1;
/// `transfer_characteristics` in the VUI, H.264 table E-4: BT.709.
pub const TRANSFER_CHARACTERISTICS: u8 = 1;
/// `matrix_coefficients` in the VUI, H.264 table E-5: BT.709.
pub const MATRIX_COEFFICIENTS: u8 = 1;
/// `video_full_range_flag` in the VUI: limited range, Y 16 to 235 and Cb, Cr 16 to 240.
pub const FULL_RANGE: bool = false;

/// Luma weight of red in pictures of BT.601, ITU-R BT.601-7 item 2.5.1.
pub const KR_BT601: f64 = 0.299;
/// Luma weight of blue in pictures of BT.601, ITU-R BT.601-7 item 2.5.1.
pub const KB_BT601: f64 = 0.114;

/// Luma of 0 to 1 and chroma of -0.5 to 0.5, of red, green and blue of 0 to 1 (H.264 equations E-16, E-20 and E-21).
const fn normalized([r, g, b]: [f64; 3]) -> [f64; 3] {
    let y = KR * r + KG * g + KB * b;
    [y, (b - y) / (2.0 * (1.0 - KB)), (r - y) / (2.0 * (1.0 - KR))]
}

/// One colour as Y, Cb, Cr in limited range (H.264 equations E-16 to E-21), rounded to the nearest code.
pub fn ycbcr_from_rgb(rgb: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = normalized(rgb.map(|c| f64::from(c) / 255.0));
    [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr].map(|code| code.round() as u8)
}

/// The colour whose luma and chroma are these by BT.601, by BT.709: luma of 0 to 1, chroma of -0.5 to 0.5. It is linear.
pub const fn bt709_from_bt601([y, cb, cr]: [f64; 3]) -> [f64; 3] {
    let r = y + 2.0 * (1.0 - KR_BT601) * cr;
    let b = y + 2.0 * (1.0 - KB_BT601) * cb;
    let g = (y - KR_BT601 * r - KB_BT601 * b) / (1.0 - KR_BT601 - KB_BT601);
    normalized([r, g, b])
}

/// Two samples that lie side by side. As one number they are loaded at once, and the compiler makes vector instructions of
/// a loop over them; of one that takes them by themselves it makes none.
#[inline(always)]
pub fn both(pair: &[u8]) -> [u8; 2] {
    let both = u16::from_le_bytes(pair.try_into().expect("two samples"));
    [both as u8, (both >> 8) as u8]
}

/// Samples of Cb and Cr by turns become samples of each.
pub fn separate(pairs: &[u8], cb: &mut [u8], cr: &mut [u8]) {
    for (pair, (cb, cr)) in pairs.chunks_exact(2).zip(cb.iter_mut().zip(cr)) {
        [*cb, *cr] = both(pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bt709_codes() {
        // The 100 % bars as every BT.709 reference table prints them.
        let table = [
            ([255, 255, 255], [235, 128, 128]),
            ([255, 255, 0], [219, 16, 138]),
            ([0, 255, 255], [188, 154, 16]),
            ([0, 255, 0], [173, 42, 26]),
            ([255, 0, 255], [78, 214, 230]),
            ([255, 0, 0], [63, 102, 240]),
            ([0, 0, 255], [32, 240, 118]),
            ([0, 0, 0], [16, 128, 128]),
        ];
        for (rgb, ycbcr) in table {
            assert_eq!(ycbcr_from_rgb(rgb), ycbcr, "{rgb:?}");
        }
    }

    #[test]
    fn the_bars_of_bt601_become_those_of_bt709() {
        // The 100 % bars by BT.601, as its reference tables print them, in limited range.
        let table = [
            ([235, 128, 128], [235, 128, 128]),
            ([210, 16, 146], [219, 16, 138]),
            ([170, 166, 16], [188, 154, 16]),
            ([145, 54, 34], [173, 42, 26]),
            ([106, 202, 222], [78, 214, 230]),
            ([81, 90, 240], [63, 102, 240]),
            ([41, 240, 110], [32, 240, 118]),
            ([16, 128, 128], [16, 128, 128]),
        ];
        for (bt601, bt709) in table {
            let [y, cb, cr] = bt601.map(f64::from);
            let [y, cb, cr] = bt709_from_bt601([(y - 16.0) / 219.0, (cb - 128.0) / 224.0, (cr - 128.0) / 224.0]);
            let codes = [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr];
            for (code, expected) in codes.into_iter().zip(bt709) {
                assert!((code - f64::from(expected)).abs() < 1.2, "{bt601:?} is {codes:?}, not {bt709:?}");
            }
        }
    }
}
