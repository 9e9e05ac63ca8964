//! Sequence and picture parameter sets, and the level that a stream needs (H.264 7.3.2, A, E).
//!
//! Pictures are coded in output order (`pic_order_cnt_type` 2) with CAVLC, and the PPS lets each
//! slice switch the deblocking filter off, so that no decoder alters a sample.

use super::nal::Payload;
use crate::config::Config;

pub(crate) const MAX_REFERENCES: u32 = 16;

/// Bits of `frame_num`.
pub(crate) const FRAME_NUM_BITS: u32 = 8;

/// Table A-1: `level_idc`, macroblocks per second, per picture, kbit/s.
const LEVELS: [(u8, u64, u32, u64); 19] = [
    (10, 1_485, 99, 64),
    (11, 3_000, 396, 192),
    (12, 6_000, 396, 384),
    (13, 11_880, 396, 768),
    (20, 11_880, 396, 2_000),
    (21, 19_800, 792, 4_000),
    (22, 20_250, 1_620, 4_000),
    (30, 40_500, 1_620, 10_000),
    (31, 108_000, 3_600, 14_000),
    (32, 216_000, 5_120, 20_000),
    (40, 245_760, 8_192, 20_000),
    (41, 245_760, 8_192, 50_000),
    (42, 522_240, 8_704, 50_000),
    (50, 589_824, 22_080, 135_000),
    (51, 983_040, 36_864, 240_000),
    (52, 2_073_600, 36_864, 240_000),
    (60, 4_177_920, 139_264, 240_000),
    (61, 8_355_840, 139_264, 480_000),
    (62, 16_711_680, 139_264, 800_000),
];

/// What a level has to allow.
pub(crate) struct Level {
    pub(crate) macroblocks: u32,
    pub(crate) frame_rate: (u32, u32),
    pub(crate) bit_rate: u32,
    /// High profile: a quarter more bits.
    pub(crate) high: bool,
}

impl Level {
    fn within(&self, (_, per_second, per_picture, kilobits): &(u8, u64, u32, u64)) -> bool {
        let (numerator, denominator) = (u64::from(self.frame_rate.0), u64::from(self.frame_rate.1));
        let factor = if self.high { 1250 } else { 1000 };
        self.macroblocks <= *per_picture
            && u64::from(self.macroblocks) * numerator <= per_second * denominator
            && u64::from(self.bit_rate) <= kilobits * factor
    }

    pub(crate) fn lowest(&self) -> u8 {
        LEVELS.iter().find(|level| self.within(level)).map_or(62, |level| level.0)
    }

    /// Whether a level exists and allows all that; 1b (9) counts as 1.
    pub(crate) fn fits(&self, level_idc: u32) -> bool {
        let level_idc = if level_idc == 9 { 10 } else { level_idc };
        LEVELS.iter().any(|level| u32::from(level.0) == level_idc && self.within(level))
    }
}

/// The payload of the SPS (7.3.2.1.1).
pub(crate) fn sps(config: &Config) -> Vec<u8> {
    let mut sps = Payload::new(64);
    sps.u(8, config.profile.idc.into())
        .u(8, config.profile.constraints.into())
        .u(8, config.level_idc.into())
        .ue(config.sps_id);
    if config.profile.idc >= 100 {
        // 4:2:0, 8 bits of luma and chroma, no transform bypass, no scaling matrix.
        sps.ue(1).ue(0).ue(0).flag(false).flag(false);
    }
    let (width, height) = (config.width.div_ceil(16), config.height.div_ceil(16));
    sps.ue(FRAME_NUM_BITS - 4)
        .ue(2) // pic_order_cnt_type: output order is decoding order
        .ue(config.reference_frames)
        .flag(false) // no gaps in frame_num
        .ue(width - 1)
        .ue(height - 1)
        .flag(true) // frame_mbs_only_flag
        .flag(true); // direct_8x8_inference_flag
    let (right, bottom) = (width * 16 - config.width, height * 16 - config.height);
    sps.flag(right + bottom > 0);
    if right + bottom > 0 {
        // In units of two samples, for 4:2:0.
        sps.ue(0).ue(right / 2).ue(0).ue(bottom / 2);
    }
    vui(&mut sps, config);
    sps.finish()
}

/// `vui_parameters()` (E.1.1), or the flag that there are none.
fn vui(sps: &mut Payload, config: &Config) {
    let vui = &config.vui;
    let aspect = sample_aspect(config);
    let any = aspect.is_some()
        || vui.overscan.is_some()
        || vui.video_signal.is_some()
        || vui.chroma_location.is_some()
        || vui.timing.is_some()
        || vui.bitstream_restriction;
    sps.flag(any);
    if !any {
        return;
    }
    sps.flag(aspect.is_some());
    match aspect {
        Some((1, 1)) => drop(sps.u(8, 1)),
        Some((width, height)) => drop(sps.u(8, 255).u(16, width).u(16, height)),
        None => {}
    }
    sps.flag(vui.overscan.is_some());
    if let Some(appropriate) = vui.overscan {
        sps.flag(appropriate);
    }
    sps.flag(vui.video_signal.is_some());
    if let Some(signal) = vui.video_signal {
        sps.u(3, signal.format).flag(signal.full_range).flag(signal.colours.is_some());
        for code in signal.colours.into_iter().flatten() {
            sps.u(8, code);
        }
    }
    sps.flag(vui.chroma_location.is_some());
    if let Some((top, bottom)) = vui.chroma_location {
        sps.ue(top).ue(bottom);
    }
    sps.flag(vui.timing.is_some());
    if let Some((units, scale)) = vui.timing {
        sps.u(32, units).u(32, scale).flag(!config.variable_frame_rate);
    }
    // No HRD of either kind, and no pic_struct in a timing SEI.
    sps.flag(false).flag(false).flag(false);
    sps.flag(vui.bitstream_restriction);
    if vui.bitstream_restriction {
        sps.flag(true) // motion vectors over picture boundaries
            .ue(0) // max_bytes_per_pic_denom: no limit
            .ue(0) // max_bits_per_mb_denom: no limit
            .ue(16)
            .ue(16)
            .ue(0) // max_num_reorder_frames
            .ue(config.reference_frames);
    }
}

/// The shape of a sample, where the display aspect ratio was given.
fn sample_aspect(config: &Config) -> Option<(u32, u32)> {
    let (width, height) = config.display_aspect;
    if width == 0 || height == 0 {
        return None;
    }
    let wide = u64::from(width) * u64::from(config.height);
    let high = u64::from(height) * u64::from(config.width);
    let divisor = greatest_common_divisor(wide, high);
    let fit = |value: u64| u32::try_from(value / divisor).ok().filter(|value| *value < 1 << 16);
    Some((fit(wide)?, fit(high)?))
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

/// The payload of the PPS (7.3.2.2).
pub(crate) fn pps(config: &Config) -> Vec<u8> {
    let mut pps = Payload::new(16);
    pps.ue(config.pps_id)
        .ue(config.sps_id)
        .flag(false) // CAVLC
        .flag(false) // no POC difference between fields
        .ue(0) // one slice group
        .ue(0) // one active reference in each list
        .ue(0)
        .flag(false) // no weighted prediction
        .u(2, 0)
        .se(0) // pic_init_qp 26
        .se(0)
        .se(0)
        .flag(true) // deblocking_filter_control_present_flag
        .flag(false)
        .flag(false);
    pps.finish()
}

#[cfg(test)]
mod tests {
    use super::Level;

    fn lowest(width: u32, height: u32, rate: u32, bit_rate: u32) -> u8 {
        let macroblocks = width.div_ceil(16) * height.div_ceil(16);
        Level { macroblocks, frame_rate: (rate, 1), bit_rate, high: true }.lowest()
    }

    #[test]
    fn the_level_follows_from_size_rate_and_bits() {
        assert_eq!(lowest(64, 64, 15, 50_000), 10);
        assert_eq!(lowest(1280, 720, 30, 6_000_000), 31);
        assert_eq!(lowest(1280, 720, 60, 6_000_000), 32);
        assert_eq!(lowest(1920, 1080, 30, 8_000_000), 40);
        assert_eq!(lowest(1920, 1080, 30, 40_000_000), 41);
        assert_eq!(lowest(3840, 2160, 60, 40_000_000), 52);
    }

    #[test]
    fn a_level_that_is_too_low_does_not_fit() {
        let wanted = Level { macroblocks: 8160, frame_rate: (30, 1), bit_rate: 0, high: false };
        assert!(wanted.fits(40) && wanted.fits(51));
        assert!(!wanted.fits(31) && !wanted.fits(43));
    }
}
