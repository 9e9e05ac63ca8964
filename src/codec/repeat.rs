//! A picture that is the one before once more, made without an encoder: every macroblock of it is skipped, and no later
//! picture refers to it, so an encoder need not know of it.

use super::access_unit::AccessUnit;
use super::h264::{NalUnit, NalUnitType};
use h264_reader::Context;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitRead as _, BitReader, BitWrite as _, BitWriter, ByteReader, ByteWriter};
use std::io;

/// A NAL unit's header: no reference, `nal_unit_type` 1.
const HEADER: u8 = 0x01;

/// Fills `unit` with the picture that stands right behind the IDR picture `idr`, and shows the same. Returns whether it is
/// known how: not where slices are coded by CABAC, nor for fields, slice groups or order type 1.
pub fn repeat_idr(idr: &AccessUnit, unit: &mut AccessUnit) -> bool {
    let slice = read(idr).and_then(|(sps, pps)| skipped(&sps, &pps).ok());
    match slice.as_deref().and_then(NalUnit::new) {
        Some(slice) => {
            unit.begin(idr.pts());
            unit.push(slice);
            true
        }
        None => false,
    }
}

/// The parameter sets of an IDR picture, where its slice can be repeated.
fn read(idr: &AccessUnit) -> Option<(SeqParameterSet, PicParameterSet)> {
    let bits = |wanted| {
        let unit = idr.nal_units().find(|unit| unit.nal_unit_type() == wanted)?;
        Some(BitReader::new(ByteReader::skipping_h264_header(unit.bytes())))
    };
    let sps = SeqParameterSet::from_bits(bits(NalUnitType::Sps)?).ok()?;
    let mut context = Context::default();
    context.put_seq_param_set(sps.clone());
    let pps = PicParameterSet::from_bits(&context, bits(NalUnitType::Pps)?).ok()?;

    // What stands in front in its slice header (section 7.3.3).
    let mut slice = bits(NalUnitType::IdrSlice)?;
    let (_first_macroblock, _slice_type) = (slice.read_ue("").ok()?, slice.read_ue("").ok()?);
    let is_its_own = slice.read_ue("").ok()? == u32::from(pps.pic_parameter_set_id.id());
    slice.skip(u32::from(sps.log2_max_frame_num_minus4) + 4, "frame_num").ok()?;
    let _idr_pic_id = slice.read_ue("").ok()?;
    let is_in_order = match sps.pic_order_cnt {
        // The next one has 2 from encoders that leave room for fields, as all do.
        PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4: bits } => {
            slice.read_var::<u32>(u32::from(bits) + 4, "").ok()? == 0
        }
        PicOrderCntType::TypeOne { .. } => false,
        PicOrderCntType::TypeTwo => true,
    };
    let is_plain = sps.frame_mbs_flags == FrameMbsFlags::Frames
        && !sps.chroma_info.separate_colour_plane_flag
        && pps.slice_groups.is_none()
        && !pps.entropy_coding_mode_flag;
    (is_its_own && is_in_order && is_plain).then_some((sps, pps))
}

/// The slice of the whole picture (sections 7.3.3 and 7.3.4).
fn skipped(sps: &SeqParameterSet, pps: &PicParameterSet) -> io::Result<Vec<u8>> {
    let mut bits = BitWriter::new(ByteWriter::new(vec![HEADER]));
    bits.write_ue(0)?; // first_mb_in_slice
    bits.write_ue(0)?; // slice_type: P
    bits.write_ue(u32::from(pps.pic_parameter_set_id.id()))?;
    bits.write_var(u32::from(sps.log2_max_frame_num_minus4) + 4, 1u32)?; // frame_num
    if let PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 } = sps.pic_order_cnt {
        bits.write_var(u32::from(log2_max_pic_order_cnt_lsb_minus4) + 4, 1u32)?; // pic_order_cnt_lsb
        if pps.bottom_field_pic_order_in_frame_present_flag {
            bits.write_se(0)?; // delta_pic_order_cnt_bottom
        }
    }
    if pps.redundant_pic_cnt_present_flag {
        bits.write_ue(0)?; // redundant_pic_cnt
    }
    bits.write_bit(true)?; // num_ref_idx_active_override_flag
    bits.write_ue(0)?; // num_ref_idx_l0_active_minus1
    bits.write_bit(false)?; // ref_pic_list_modification_flag_l0
    if pps.weighted_pred_flag {
        bits.write_ue(0)?; // luma_log2_weight_denom
        let has_chroma = sps.chroma_info.chroma_format != ChromaFormat::Monochrome;
        if has_chroma {
            bits.write_ue(0)?; // chroma_log2_weight_denom
        }
        bits.write_bit(false)?; // luma_weight_l0_flag
        if has_chroma {
            bits.write_bit(false)?; // chroma_weight_l0_flag
        }
    }
    bits.write_se(0)?; // slice_qp_delta
    if pps.deblocking_filter_control_present_flag {
        bits.write_ue(1)?; // disable_deblocking_filter_idc
    }
    let macroblocks = (sps.pic_width_in_mbs_minus1 + 1) * (sps.pic_height_in_map_units_minus1 + 1);
    bits.write_ue(macroblocks)?; // mb_skip_run
    bits.write_rbsp_trailing_bits()?;
    Ok(bits.into_writer().into_writer())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::{HostPicture, Openh264, Profile};
    use crate::settings::{Settings, Size};

    #[test]
    fn an_idr_picture_of_openh264_is_repeated_in_a_few_bytes() {
        let settings = Settings { size: Size::new(640, 360).unwrap(), ..Settings::default() };
        for profile in [Profile::ConstrainedBaseline, Profile::High] {
            let mut encoder = Openh264::open(&settings, profile).unwrap();
            let (mut idr, mut repeat) = (AccessUnit::default(), AccessUnit::default());
            encoder.encode(&HostPicture::new(settings.size), true, &mut idr).unwrap();
            assert!(repeat_idr(&idr, &mut repeat), "{profile:?}");
            let units: Vec<_> = repeat.nal_units().collect();
            assert!(units.len() == 1 && units[0].bytes().len() < 12 && !repeat.is_idr(), "{units:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        let (mut unit, mut repeat) = (AccessUnit::default(), AccessUnit::default());
        for stream in [&[0u8, 0, 1, 0x65, 0x88][..], &[0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 1], &[]] {
            unit.begin(std::time::Duration::ZERO);
            unit.push_annex_b(stream);
            assert!(!repeat_idr(&unit, &mut repeat), "{stream:?}");
        }
    }
}
