//! Parameter sets: the ones that a stream has sent so far, and what slices and players need to know from them.

use super::h264::{NalUnit, NalUnitType};
use h264_reader::Context;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitRead, BitReader, ByteReader};

/// More than all parameter sets of any stream. Who sends more is not believed.
const MOST_BYTES: usize = 128 * 1024;
/// `MaxFS` of the highest level (H.264 table A-1). What belongs to a larger picture is not read: it would be as large.
const MOST_MACROBLOCKS: u64 = 139_264;

/// What a sequence parameter set says (H.264 section 7.4.2.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// Width and height in macroblocks, cropping left out.
    pub macroblocks: (u32, u32),
    /// 4:2:0 or monochrome with eight bits: what every browser plays.
    pub is_plain: bool,
    /// "10-bit 4:2:2", say.
    pub samples: String,
    /// Whether there may be fields.
    pub interlaced: bool,
    /// Whether slices may come in any order: the Baseline profile proper, and Extended.
    pub any_slice_order: bool,
    /// `max_num_reorder_frames`, where it is said.
    pub reorders: Option<u32>,
    /// Frames per second as a fraction, where it is said.
    pub frame_rate: Option<(u32, u32)>,
    pub(super) log2_max_frame_num: u32,
    pub(super) separate_planes: bool,
    pub(super) order: PicOrderCntType,
}

/// What a picture parameter set says that a slice header needs (H.264 section 7.4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pps {
    pub(super) bottom_field_order: bool,
    pub(super) redundant_pictures: bool,
}

/// A parameter set as it was sent.
#[derive(Debug)]
struct Kept {
    key: Key,
    /// Of a picture parameter set, the sequence parameter set that it belongs to.
    sps: u32,
    bytes: Vec<u8>,
    meaning: Meaning,
}

/// What parameter sets replace each other by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `nal_unit_type`: 7, 13, 15 or 8, in the order in which decoders need them.
    rank: u8,
    id: u32,
}

impl Key {
    /// Of a parameter set, if `nal` is one that can be read.
    pub fn of(nal: NalUnit<'_>) -> Option<Self> {
        let (rank, skipped) = match nal.nal_unit_type() {
            // `profile_idc`, constraints and `level_idc` stand in front of the number.
            NalUnitType::Sps => (0, 24),
            NalUnitType::Other(13) => (1, 0),
            NalUnitType::Other(15) => (2, 24),
            NalUnitType::Pps => (3, 0),
            _ => return None,
        };
        let mut bits = bits(nal.bytes());
        bits.skip(skipped, "").ok()?;
        Some(Self { rank, id: bits.read_ue("").ok()? })
    }
}

#[derive(Debug)]
enum Meaning {
    Sps(Box<Sps>),
    Pps(Pps),
    Unknown,
}

/// The parameter sets so far, each in its last version.
#[derive(Debug, Default)]
pub struct ParameterSets {
    kept: Vec<Kept>,
    context: Context,
}

impl ParameterSets {
    /// Takes a parameter set. Returns whether it is another one than before under its number, or the first.
    pub fn take(&mut self, nal: NalUnit<'_>) -> bool {
        let Some(key) = Key::of(nal) else { return false };
        if let Some(at) = self.kept.iter().position(|kept| kept.key == key) {
            if self.kept[at].bytes == nal.bytes() {
                return false;
            }
            self.kept.remove(at);
        }
        let total: usize = self.kept.iter().map(|kept| kept.bytes.len()).sum();
        if total + nal.bytes().len() > MOST_BYTES {
            self.kept.clear();
        }
        let (sps, meaning) = self.read(nal);
        self.kept.push(Kept { key, sps, bytes: nal.bytes().to_vec(), meaning });
        if nal.nal_unit_type() == NalUnitType::Sps {
            self.read_again(key.id);
        }
        self.kept.sort_by_key(|kept| kept.key);
        true
    }

    fn read(&mut self, nal: NalUnit<'_>) -> (u32, Meaning) {
        let mut bits = bits(nal.bytes());
        match nal.nal_unit_type() {
            NalUnitType::Sps => match SeqParameterSet::from_bits(bits) {
                Ok(sps) => {
                    let read = Sps::from(&sps);
                    if u64::from(read.macroblocks.0) * u64::from(read.macroblocks.1) <= MOST_MACROBLOCKS {
                        self.context.put_seq_param_set(sps);
                    }
                    (0, Meaning::Sps(Box::new(read)))
                }
                Err(_) => (0, Meaning::Unknown),
            },
            NalUnitType::Pps => {
                let sps = bits.read_ue("").and_then(|_| bits.read_ue("")).unwrap_or_default();
                (sps, read_pps(&self.context, nal.bytes()))
            }
            _ => (0, Meaning::Unknown),
        }
    }

    /// Reads the picture parameter sets that came before their sequence parameter set.
    fn read_again(&mut self, sps: u32) {
        let context = &self.context;
        let unread =
            |kept: &&mut Kept| kept.key.rank == 3 && kept.sps == sps && matches!(kept.meaning, Meaning::Unknown);
        self.kept.iter_mut().filter(unread).for_each(|kept| kept.meaning = read_pps(context, &kept.bytes));
    }

    fn find(&self, rank: u8, id: u32) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.key == Key { rank, id })
    }

    /// Whether both sets are there that a slice with this picture parameter set needs.
    pub fn has(&self, pps: u32) -> bool {
        self.find(3, pps).is_some_and(|pps| self.find(0, pps.sps).is_some())
    }

    /// What the two sets say that a slice needs, where they are there and can be read.
    pub fn of_slice(&self, pps: u32) -> Option<(&Sps, Pps)> {
        let kept = self.find(3, pps)?;
        match (&self.find(0, kept.sps)?.meaning, &kept.meaning) {
            (Meaning::Sps(sps), Meaning::Pps(pps)) => Some((sps, *pps)),
            _ => None,
        }
    }

    /// All sets that slices with this picture parameter set and its siblings need, in the order in which decoders do.
    pub fn around(&self, pps: u32) -> impl Iterator<Item = (Key, NalUnit<'_>)> {
        let sps = self.find(3, pps).map(|kept| kept.sps);
        let belongs =
            move |kept: &&Kept| sps.is_some_and(|sps| if kept.key.rank == 3 { kept.sps } else { kept.key.id } == sps);
        self.kept.iter().filter(belongs).filter_map(|kept| Some((kept.key, NalUnit::new(&kept.bytes)?)))
    }
}

fn read_pps(context: &Context, nal: &[u8]) -> Meaning {
    PicParameterSet::from_bits(context, bits(nal)).map_or(Meaning::Unknown, |pps| {
        Meaning::Pps(Pps {
            bottom_field_order: pps.bottom_field_pic_order_in_frame_present_flag,
            redundant_pictures: pps.redundant_pic_cnt_present_flag,
        })
    })
}

impl From<&SeqParameterSet> for Sps {
    fn from(sps: &SeqParameterSet) -> Self {
        let chroma = &sps.chroma_info;
        let depth = 8 + chroma.bit_depth_luma_minus8.max(chroma.bit_depth_chroma_minus8);
        let (format, is_usual) = match chroma.chroma_format {
            ChromaFormat::Monochrome => ("monochrome", true),
            ChromaFormat::YUV420 => ("4:2:0", true),
            ChromaFormat::YUV422 => ("4:2:2", false),
            ChromaFormat::YUV444 => ("4:4:4", false),
            ChromaFormat::Invalid(_) => ("unknown", false),
        };
        let interlaced = sps.frame_mbs_flags != FrameMbsFlags::Frames;
        let vui = sps.vui_parameters.as_ref();
        let rows = sps.pic_height_in_map_units_minus1.saturating_add(1);
        Self {
            macroblocks: (
                sps.pic_width_in_mbs_minus1.saturating_add(1),
                rows.saturating_mul(if interlaced { 2 } else { 1 }),
            ),
            is_plain: depth == 8 && is_usual,
            samples: format!("{depth}-bit {format}"),
            interlaced,
            // With `constraint_set1_flag` a Baseline stream is a Main stream as well, which has no such order.
            any_slice_order: match sps.profile_idc.into() {
                66 => !sps.constraint_flags.flag1(),
                88 => true,
                _ => false,
            },
            reorders: vui.and_then(|vui| vui.bitstream_restrictions.as_ref()).map(|are| are.max_num_reorder_frames),
            // A tick is a field.
            frame_rate: vui
                .and_then(|vui| vui.timing_info.as_ref())
                .and_then(|timing| Some((timing.time_scale, timing.num_units_in_tick.checked_mul(2)?))),
            log2_max_frame_num: u32::from(sps.log2_max_frame_num_minus4) + 4,
            separate_planes: chroma.separate_colour_plane_flag,
            order: sps.pic_order_cnt.clone(),
        }
    }
}

/// The bits of a NAL unit behind its header, without emulation prevention bytes.
pub(super) fn bits(nal: &[u8]) -> BitReader<ByteReader<&[u8]>> {
    BitReader::new(ByteReader::skipping_h264_header(nal))
}
