//! H.264 streams as bytes: NAL units, and packets as go2rtc cuts them.

use memchr::memmem;

/// A NAL unit and where it was found.
#[derive(Clone, Copy, Debug)]
pub struct Nal<'a> {
    /// Bytes in its start code, 3 or 4.
    pub start_code: usize,
    /// Header and payload.
    pub bytes: &'a [u8],
}

impl Nal<'_> {
    pub fn unit_type(&self) -> u8 {
        self.bytes[0] & 0x1f
    }

    /// Whether it is a slice: 1, or 5 in an IDR picture.
    pub fn is_slice(&self) -> bool {
        matches!(self.unit_type(), 1..=5)
    }
}

pub fn nals(stream: &[u8]) -> Vec<Nal<'_>> {
    let starts: Vec<usize> = memmem::find_iter(stream, &[0, 0, 1]).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let nal = |(&start, end): (&usize, usize)| {
        let start_code = if start > 0 && stream[start - 1] == 0 { 4 } else { 3 };
        let bytes = &stream[start + 3..end];
        let zeros = bytes.iter().rev().take_while(|&&b| b == 0).count();
        Nal { start_code, bytes: &bytes[..bytes.len() - zeros] }
    };
    starts.iter().zip(ends).map(nal).collect()
}

/// The number of coded pictures, where a picture is one slice.
pub fn pictures(stream: &[u8]) -> usize {
    nals(stream).iter().filter(|nal| nal.is_slice()).count()
}

/// What go2rtc v1.9.14 needs before it opens a raw stream: it looks at four bytes, then at 256, and finds SPS and PPS
/// whole in these.
pub fn opens_in_go2rtc(stream: &[u8]) -> Result<(), String> {
    if !stream.starts_with(&[0, 0, 0, 1]) {
        return Err(format!("begins with {:?}", &stream[..stream.len().min(4)]));
    }
    let head = stream.get(..256).ok_or_else(|| format!("it has only {} bytes", stream.len()))?;
    // The last one may be cut off by the 256 bytes.
    let types: Vec<u8> = nals(head).iter().map(Nal::unit_type).collect();
    if types.len() < 3 || types[..2] != [7, 8] {
        return Err(format!("the first 256 bytes hold {types:?}"));
    }
    Ok(())
}

/// The packets that go2rtc v1.9.14 makes of a raw stream. A packet ends where, from its byte 10 on, a 4-byte start code
/// is followed by a byte that is a slice or an SPS in H.264, or looks like a slice or a VPS in H.265. go2rtc keeps the
/// last one back for as long as nothing follows; here it is given too.
pub fn go2rtc_packets(stream: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let start_codes = memmem::find_iter(rest.get(10..).unwrap_or_default(), &[0, 0, 0, 1]).map(|at| at + 10);
        let boundary = start_codes.filter(|at| at + 4 < rest.len()).find(|&at| {
            let header = rest[at + 4];
            let (h264, h265) = (header & 31, header >> 1 & 63);
            matches!(h264, 1 | 7) || matches!(h265, 1 | 32) && !matches!(h264, 5 | 8)
        });
        let (packet, behind) = rest.split_at(boundary.unwrap_or(rest.len()));
        packets.push(packet);
        rest = behind;
    }
    packets
}

#[test]
fn cuts_as_go2rtc_was_seen_to_cut() {
    let nal = |start_code: usize, header: u8, length: usize| {
        let mut bytes = vec![0; start_code - 1];
        bytes.extend([1, header]);
        bytes.resize(start_code + length, 0xaa);
        bytes
    };
    let idr = [nal(4, 0x67, 20), nal(4, 0x68, 5), nal(4, 0x65, 300)].concat();
    let packets = |parts: &[Vec<u8>]| go2rtc_packets(&parts.concat()).iter().map(|p| p.len()).collect::<Vec<_>>();

    assert_eq!(packets(&[idr.clone(), nal(4, 0x41, 30), nal(4, 0x41, 30)]), [idr.len(), 34, 34]);
    // A delimiter in front and 3 bytes before the slice: one packet for the whole group of pictures.
    let delimited = [nal(4, 9, 2), nal(3, 0x41, 30)].concat();
    assert_eq!(packets(&[idr.clone(), delimited.clone(), delimited]).len(), 1);
    // A second slice behind 4 bytes becomes a packet of its own.
    assert_eq!(packets(&[idr.clone(), nal(4, 0x41, 30), nal(4, 0x41, 30), nal(3, 0x41, 30)]).len(), 3);
    // An IDR picture without its SPS is glued to the packet before, and so is what follows fewer than 10 bytes.
    assert_eq!(packets(&[idr.clone(), nal(4, 0x65, 30)]).len(), 1);
    assert_eq!(packets(&[idr.clone(), nal(4, 0x41, 5), nal(4, 0x41, 30)]), [idr.len(), 9 + 34]);
    assert_eq!(packets(&[idr.clone(), nal(4, 0x41, 6), nal(4, 0x41, 30)]), [idr.len(), 10, 34]);

    assert!(opens_in_go2rtc(&idr).is_ok());
    assert!(opens_in_go2rtc(&idr[..255]).is_err());
    assert!(opens_in_go2rtc(&idr[1..]).is_err());
}
