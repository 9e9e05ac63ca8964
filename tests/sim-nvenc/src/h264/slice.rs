//! Slices (7.3.3, 7.3.4): I_PCM macroblocks, skipped macroblocks, or one grey for all.
//!
//! Every macroblock that is not skipped is I_PCM, and a skipped one has no motion: its neighbours
//! are intra or stand still, so the predicted vector of 8.4.1.1 is zero. The decoded picture is
//! therefore the input, sample for sample.

use super::nal::{self, Payload};
use super::parameter_sets::FRAME_NUM_BITS;
use crate::config::{Config, Slices};
use crate::picture::{PCM_BYTES, Picture};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PictureType {
    P,
    I,
    Idr,
}

/// What every slice header of a picture says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: PictureType,
    /// Pictures since the last IDR; cut to the bits of the field when written.
    pub(crate) frame_num: u32,
    pub(crate) idr_pic_id: u32,
}

/// What the macroblocks of a picture show.
pub(crate) enum Content<'a> {
    Picture {
        now: &'a Picture,
        before: &'a Picture,
        /// Macroblocks that are grey, from the first one on.
        grey: usize,
    },
    /// Nothing but grey, in as few bytes as a picture can have.
    Grey,
}

/// Figures of a coded picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Coded {
    pub(crate) slices: u32,
    pub(crate) intra_macroblocks: u32,
    pub(crate) skipped_macroblocks: u32,
}

/// I_16x16 with DC prediction and no residual: mb_type 00100, chroma DC 1, QP delta 1, coefficient token 1. Eight bits,
/// wherever they begin. It is grey where nothing but grey comes before it.
const GREY: u8 = 0b0010_0111;

/// Appends all slices of a picture.
pub(crate) fn append(stream: &mut Vec<u8>, config: &Config, header: Header, content: &Content<'_>) -> Coded {
    let total = config.macroblocks() as usize;
    let per_slice = match config.slices {
        Slices::Macroblocks(number) => number,
        Slices::Number(number) => total.div_ceil(number),
    };
    let mut coded = Coded::default();
    for first in (0..total).step_by(per_slice.max(1)) {
        let range = first..(first + per_slice).min(total);
        let payload = slice(config, header, content, range, &mut coded);
        let (ref_idc, unit_type) = match header.kind {
            PictureType::Idr => (3, nal::IDR_SLICE),
            _ => (2, nal::SLICE),
        };
        nal::append(stream, ref_idc, unit_type, &payload);
        coded.slices += 1;
    }
    coded
}

fn slice(
    config: &Config,
    header: Header,
    content: &Content<'_>,
    macroblocks: std::ops::Range<usize>,
    coded: &mut Coded,
) -> Vec<u8> {
    let mut slice = Payload::new(match content {
        Content::Picture { .. } if header.kind != PictureType::P => macroblocks.len() * (PCM_BYTES + 2) + 64,
        _ => 4096,
    });
    let is_p = header.kind == PictureType::P;
    slice
        .ue(macroblocks.start as u32)
        .ue(if is_p { 5 } else { 7 }) // all slices of the picture are of this type
        .ue(config.pps_id)
        .u(FRAME_NUM_BITS, header.frame_num & ((1 << FRAME_NUM_BITS) - 1));
    if is_p {
        // The PPS's number of references, in their initial order.
        slice.flag(false).flag(false);
    }
    if header.kind == PictureType::Idr {
        slice.ue(header.idr_pic_id);
        // Output what came before; not a long-term reference.
        slice.flag(false).flag(false);
    } else {
        slice.flag(false); // sliding-window marking
    }
    slice.se(0); // slice_qp_delta
    slice.ue(1); // disable_deblocking_filter_idc

    let number = macroblocks.len() as u32;
    match content {
        Content::Grey if is_p => {
            slice.ue(number);
            coded.skipped_macroblocks += number;
        }
        Content::Grey => {
            slice.bytes(&vec![GREY; macroblocks.len()]);
            coded.intra_macroblocks += number;
        }
        Content::Picture { now, before, grey } => {
            let grey = (*grey).clamp(macroblocks.start, macroblocks.end);
            let mut skipped = 0;
            if !is_p {
                slice.bytes(&vec![GREY; grey - macroblocks.start]);
                coded.intra_macroblocks += (grey - macroblocks.start) as u32;
            }
            for macroblock in if is_p { macroblocks } else { grey..macroblocks.end } {
                if is_p && (macroblock < grey || now.same(before, macroblock)) {
                    skipped += 1;
                    continue;
                }
                if is_p {
                    slice.ue(skipped).ue(5 + 25);
                    coded.skipped_macroblocks += std::mem::take(&mut skipped);
                } else {
                    slice.ue(25); // mb_type I_PCM
                }
                slice.aligned_bytes(&now.samples(macroblock));
                coded.intra_macroblocks += 1;
            }
            if skipped > 0 {
                slice.ue(skipped);
                coded.skipped_macroblocks += skipped;
            }
        }
    }
    slice.finish()
}
