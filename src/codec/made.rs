//! H.264 made by hand for tests: parameter sets and slice headers with nothing behind them.

use h264_reader::rbsp::{BitWrite, BitWriter, ByteWriter};

/// A sequence parameter set for streams of the Main profile, 160 by 128.
#[derive(Clone, Copy)]
pub struct MadeSps {
    pub id: u32,
    pub profile: u8,
    pub interlaced: bool,
    /// `max_num_reorder_frames`, where it is to be said.
    pub reorders: Option<u32>,
}

pub const SPS: MadeSps = MadeSps { id: 0, profile: 77, interlaced: false, reorders: None };

/// A slice header.
#[derive(Clone, Copy)]
pub struct MadeSlice {
    pub header: u8,
    pub first_macroblock: u32,
    /// 0 is P, 1 is B, 2 is I.
    pub slice_type: u32,
    pub pps: u32,
    pub frame_num: u8,
    pub idr_pic_id: u32,
    pub order: u8,
    /// In an interlaced stream: whether this is a field, and the bottom one.
    pub field: Option<Option<bool>>,
    /// Where there may be redundant pictures.
    pub redundant: Option<u32>,
}

pub const P: MadeSlice = MadeSlice {
    header: 0x41,
    first_macroblock: 0,
    slice_type: 0,
    pps: 0,
    frame_num: 0,
    idr_pic_id: 0,
    order: 0,
    field: None,
    redundant: None,
};
pub const IDR: MadeSlice = MadeSlice { header: 0x65, slice_type: 2, ..P };

type Bits = BitWriter<ByteWriter<Vec<u8>>>;

fn nal(header: u8, write: impl FnOnce(&mut Bits) -> std::io::Result<()>) -> Vec<u8> {
    let mut bits = BitWriter::new(ByteWriter::new(vec![0, 0, 0, 1, header]));
    write(&mut bits).unwrap();
    bits.write_rbsp_trailing_bits().unwrap();
    bits.into_writer().into_writer()
}

impl MadeSps {
    pub fn stream(self) -> Vec<u8> {
        nal(0x67, |bits| {
            bits.write::<24, u32>(u32::from(self.profile) << 16 | 30)?;
            bits.write_ue(self.id)?;
            // Four bits of `frame_num`, and order type 0 with eight bits.
            [0, 0, 4, 2].iter().try_for_each(|&value| bits.write_ue(value))?;
            bits.write_bit(false)?;
            bits.write_ue(9)?;
            bits.write_ue(if self.interlaced { 3 } else { 7 })?;
            bits.write_bit(!self.interlaced)?;
            if self.interlaced {
                bits.write_bit(false)?;
            }
            bits.write_bit(true)?;
            bits.write_bit(false)?;
            bits.write_bit(self.reorders.is_some())?;
            if let Some(reorders) = self.reorders {
                // Nothing of the VUI but the restrictions.
                bits.write::<8, u8>(0)?;
                bits.write_bit(true)?;
                bits.write_bit(true)?;
                [0, 0, 10, 10, reorders, 4].iter().try_for_each(|&value| bits.write_ue(value))?;
            }
            Ok(())
        })
    }
}

/// A picture parameter set.
pub fn pps(id: u32, sps: u32, redundant_pictures: bool) -> Vec<u8> {
    nal(0x68, |bits| {
        [id, sps].iter().try_for_each(|&value| bits.write_ue(value))?;
        bits.write::<2, u8>(0)?;
        [0, 0, 0].iter().try_for_each(|&value| bits.write_ue(value))?;
        bits.write::<3, u8>(0)?;
        [0, 0, 0].iter().try_for_each(|&value| bits.write_se(value))?;
        bits.write::<2, u8>(0)?;
        bits.write_bit(redundant_pictures)
    })
}

impl MadeSlice {
    pub fn stream(self) -> Vec<u8> {
        nal(self.header, |bits| {
            [self.first_macroblock, self.slice_type, self.pps].iter().try_for_each(|&value| bits.write_ue(value))?;
            bits.write::<4, u8>(self.frame_num)?;
            if let Some(field) = self.field {
                bits.write_bit(field.is_some())?;
                field.map_or(Ok(()), |bottom| bits.write_bit(bottom))?;
            }
            if self.header & 0x1f == 5 {
                bits.write_ue(self.idr_pic_id)?;
            }
            bits.write::<8, u8>(self.order)?;
            self.redundant.map_or(Ok(()), |count| bits.write_ue(count))?;
            bits.write::<16, u16>(0xa5a5)
        })
    }
}
