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

/// One colour as Y, Cb, Cr in limited range (H.264 equations E-16 to E-21), rounded to the nearest code.
pub fn ycbcr_from_rgb([r, g, b]: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = [r, g, b].map(|c| f64::from(c) / 255.0);
    let y = KR * r + KG * g + KB * b;
    let cb = (b - y) / (2.0 * (1.0 - KB));
    let cr = (r - y) / (2.0 * (1.0 - KR));
    [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr].map(|code| code.round() as u8)
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
}
