//! NAL units in the Annex B byte stream, and the bits of their payloads.
//!
//! Every NAL unit gets the four-byte start code, as NVENC writes it.

use bitstream_io::{BigEndian, BitWrite, BitWriter};

pub(crate) const SLICE: u8 = 1;
pub(crate) const IDR_SLICE: u8 = 5;
pub(crate) const SEI: u8 = 6;
pub(crate) const SPS: u8 = 7;
pub(crate) const PPS: u8 = 8;
pub(crate) const ACCESS_UNIT_DELIMITER: u8 = 9;
pub(crate) const FILLER: u8 = 12;
/// One of the types 24 to 31, which the standard leaves to applications.
pub(crate) const UNSPECIFIED: u8 = 30;

/// A raw byte sequence payload under construction (7.2, 9.1).
pub(crate) struct Payload {
    bits: BitWriter<Vec<u8>, BigEndian>,
}

const NEVER_FULL: &str = "a Vec takes everything";

impl Payload {
    pub(crate) fn new(capacity: usize) -> Payload {
        Payload { bits: BitWriter::endian(Vec::with_capacity(capacity), BigEndian) }
    }

    /// `u(count)`.
    pub(crate) fn u(&mut self, count: u32, value: u32) -> &mut Payload {
        self.bits.write_var(count, value).expect(NEVER_FULL);
        self
    }

    pub(crate) fn flag(&mut self, value: bool) -> &mut Payload {
        self.bits.write_bit(value).expect(NEVER_FULL);
        self
    }

    /// `ue(v)`.
    pub(crate) fn ue(&mut self, value: u32) -> &mut Payload {
        let code = u64::from(value) + 1;
        let length = code.ilog2();
        self.bits.pad(length).expect(NEVER_FULL);
        self.bits.write_var(length + 1, code).expect(NEVER_FULL);
        self
    }

    /// `se(v)`.
    pub(crate) fn se(&mut self, value: i32) -> &mut Payload {
        let magnitude = value.unsigned_abs() * 2;
        self.ue(if value > 0 { magnitude - 1 } else { magnitude })
    }

    /// Whole bytes, after zero bits up to the next byte.
    pub(crate) fn aligned_bytes(&mut self, bytes: &[u8]) -> &mut Payload {
        self.bits.byte_align().expect(NEVER_FULL);
        self.bits.write_bytes(bytes).expect(NEVER_FULL);
        self
    }

    /// Whole bytes at whatever bit the payload has come to.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Payload {
        self.bits.write_bytes(bytes).expect(NEVER_FULL);
        self
    }

    /// Ends the payload with `rbsp_trailing_bits()`.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.flag(true);
        self.bits.byte_align().expect(NEVER_FULL);
        self.bits.into_writer()
    }
}

/// Appends a NAL unit: start code, header, payload with emulation prevention (7.4.1).
pub(crate) fn append(stream: &mut Vec<u8>, ref_idc: u8, unit_type: u8, payload: &[u8]) {
    stream.reserve(payload.len() + payload.len() / 64 + 5);
    stream.extend_from_slice(&[0, 0, 0, 1, ref_idc << 5 | unit_type]);
    let (mut zeros, mut copied) = (0, 0);
    for (index, byte) in payload.iter().enumerate() {
        if zeros >= 2 && *byte <= 3 {
            stream.extend_from_slice(&payload[copied..index]);
            stream.push(3);
            copied = index;
            zeros = 0;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
    }
    stream.extend_from_slice(&payload[copied..]);
}

#[cfg(test)]
mod tests {
    use super::{Payload, append};

    #[test]
    fn exp_golomb_codes_are_those_of_the_standard() {
        // Table 9-2 and 9-3: ue 0 1 2 3 7 = 1 010 011 00100 0001000; se 1 -1 2 = 010 011 00100.
        let mut payload = Payload::new(8);
        payload.ue(0).ue(1).ue(2).ue(3).ue(7).se(1).se(-1).se(2);
        assert_eq!(payload.finish(), [0b1010_0110, 0b0100_0001, 0b0000_1001, 0b1001_0010]);
        let mut longest = Payload::new(8);
        longest.ue(u32::MAX);
        assert_eq!(longest.finish(), [0, 0, 0, 0, 0x80, 0, 0, 0, 0x40]);
    }

    #[test]
    fn three_bytes_that_look_like_a_start_code_are_broken_up() {
        let escaped = |payload: &[u8]| {
            let mut stream = Vec::new();
            append(&mut stream, 3, 5, payload);
            stream
        };
        assert_eq!(escaped(&[0, 0, 1]), [0, 0, 0, 1, 0x65, 0, 0, 3, 1]);
        assert_eq!(escaped(&[0; 5]), [0, 0, 0, 1, 0x65, 0, 0, 3, 0, 0, 3, 0]);
        assert_eq!(escaped(&[0, 0, 4, 0, 0, 3]), [0, 0, 0, 1, 0x65, 0, 0, 4, 0, 0, 3, 3]);
    }
}
