//! Slice headers, as far as they say which picture a slice belongs to (H.264 section 7.3.3).

use super::h264::{NalUnit, NalUnitType};
use super::sets::{ParameterSets, Pps, Sps, bits};
use h264_reader::nal::sps::PicOrderCntType;
use h264_reader::rbsp::{BitRead, BitReaderError};

/// What is read lies within so many bytes.
const MOST_READ: usize = 64;

/// The start of a slice header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// `pic_parameter_set_id`.
    pub pps: u32,
    /// Whether it predicts from two lists.
    pub is_b: bool,
    first_macroblock: u32,
    /// `None` where the parameter sets are missing or cannot be read.
    pub(super) picture: Option<Picture>,
}

/// What all slices of a coded picture have in common, and no slice of the next one (H.264 section 7.4.1.2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    frame_num: u32,
    /// Of a field whether it is the bottom one.
    pub(super) field: Option<bool>,
    pub(super) is_reference: bool,
    /// `idr_pic_id` of an IDR picture.
    pub(super) idr: Option<u32>,
    /// `pic_order_cnt_lsb` of order type 0.
    pub(super) order: u32,
    order_deltas: [i32; 2],
    /// A copy of a part of the picture that counts where the part itself is lost.
    is_redundant: bool,
    any_slice_order: bool,
    separate_planes: bool,
}

/// Why a slice header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// More of it has to arrive.
    Short,
    /// It is no slice header.
    Broken,
}

impl Slice {
    /// Reads the start of `nal`, whose end may be missing.
    ///
    /// # Errors
    /// It is too short, or none.
    pub fn read(nal: NalUnit<'_>, sets: &ParameterSets) -> Result<Self, Unread> {
        let bytes = nal.bytes();
        let bytes = &bytes[..bytes.len().min(MOST_READ)];
        // No NAL unit has these, and the reader looks ahead.
        let end = bytes.windows(3).position(|three| matches!(three, [0, 0, 0 | 2])).unwrap_or(bytes.len());
        let bytes = &bytes[..end];
        let mut bits = bits(bytes);
        let mut ue = || bits.read_ue("").map_err(|error| why(&error));
        let (first_macroblock, slice_type, pps) = (ue()?, ue()?, ue()?);
        if slice_type > 9 || pps > 255 {
            return Err(Unread::Broken);
        }
        let picture = match sets.of_slice(pps) {
            Some((sps, pps)) => Some(Picture::read(&mut bits, nal, sps, pps).map_err(|error| why(&error))?),
            None => None,
        };
        Ok(Self { pps, is_b: slice_type % 5 == 1, first_macroblock, picture })
    }

    /// Whether it is one of an IDR picture, as far as is known.
    pub fn is_idr(&self) -> bool {
        self.picture.as_ref().is_some_and(|picture| picture.idr.is_some())
    }

    /// Whether it may be a picture's first slice, as far as it alone says.
    pub fn may_be_first(&self) -> bool {
        self.first_macroblock == 0 || self.picture.as_ref().is_some_and(|picture| picture.any_slice_order)
    }

    /// Whether it is a redundant one, which begins no picture.
    pub fn is_redundant(&self) -> bool {
        self.picture.as_ref().is_some_and(|picture| picture.is_redundant)
    }

    /// Whether it begins a new picture behind `last`, the slice before it.
    pub fn begins_picture(&self, last: &Self) -> bool {
        let (Some(mine), Some(its)) = (&self.picture, &last.picture) else {
            return self.first_macroblock == 0;
        };
        if self.pps != last.pps || mine.differs(its) {
            return true;
        }
        // Encoders that give every IDR picture the same number do exist.
        let starts_over = match mine.any_slice_order {
            true => self.first_macroblock == 0 && last.first_macroblock == 0,
            false => self.first_macroblock <= last.first_macroblock,
        };
        starts_over && !mine.separate_planes
    }

    /// Whether it belongs to a field that makes a frame together with the field of `first` (H.264 sections 3.30, 3.31).
    pub fn completes_frame(&self, first: &Self) -> bool {
        let (Some(mine), Some(its)) = (&self.picture, &first.picture) else { return false };
        mine.field.is_some_and(|bottom| its.field == Some(!bottom))
            && mine.frame_num == its.frame_num
            && mine.is_reference == its.is_reference
            // The field behind an IDR field is predicted from it, and no IDR field.
            && mine.idr.is_none()
    }

    /// Whether this is a field.
    pub fn is_field(&self) -> bool {
        self.picture.as_ref().is_some_and(|picture| picture.field.is_some())
    }
}

impl Picture {
    fn read(bits: &mut impl BitRead, nal: NalUnit<'_>, sps: &Sps, pps: Pps) -> Result<Self, BitReaderError> {
        if sps.separate_planes {
            bits.skip(2, "colour_plane_id")?;
        }
        let frame_num = bits.read_var(sps.log2_max_frame_num, "frame_num")?;
        let mut field = None;
        if sps.interlaced && bits.read_bit("field_pic_flag")? {
            field = Some(bits.read_bit("bottom_field_flag")?);
        }
        let is_idr = nal.nal_unit_type() == NalUnitType::IdrSlice;
        let idr = if is_idr { Some(bits.read_ue("idr_pic_id")?) } else { None };
        let (mut order, mut order_deltas) = (0, [0; 2]);
        let with_bottom = pps.bottom_field_order && field.is_none();
        match sps.order {
            PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4: log2 } => {
                order = bits.read_var(u32::from(log2) + 4, "pic_order_cnt_lsb")?;
                if with_bottom {
                    order_deltas[0] = bits.read_se("delta_pic_order_cnt_bottom")?;
                }
            }
            PicOrderCntType::TypeOne { delta_pic_order_always_zero_flag: false, .. } => {
                order_deltas[0] = bits.read_se("delta_pic_order_cnt")?;
                if with_bottom {
                    order_deltas[1] = bits.read_se("delta_pic_order_cnt")?;
                }
            }
            _ => {}
        }
        Ok(Self {
            frame_num,
            field,
            is_reference: nal.bytes()[0] & 0x60 != 0,
            idr,
            order,
            order_deltas,
            is_redundant: pps.redundant_pictures && bits.read_ue("redundant_pic_cnt")? > 0,
            any_slice_order: sps.any_slice_order,
            separate_planes: sps.separate_planes,
        })
    }

    fn differs(&self, other: &Self) -> bool {
        self.frame_num != other.frame_num
            || self.field != other.field
            || self.is_reference != other.is_reference
            || self.idr != other.idr
            || self.order != other.order
            || self.order_deltas != other.order_deltas
    }
}

fn why(error: &BitReaderError) -> Unread {
    match error {
        BitReaderError::ReaderError(_, error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Unread::Short,
        _ => Unread::Broken,
    }
}
