//! What a stream is that is no H.264 byte stream, by how it begins.

/// Something else than an H.264 byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// "MPEG-TS", say.
    pub name: &'static str,
    /// What makes the right stream of it.
    pub cure: Cure,
}

/// What makes an H.264 byte stream of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// It is H.264, and lacks start codes.
    StartCodes,
    /// There may be H.264 in it, which is to be taken out as it is. ffmpeg takes it for this format.
    Unpack(&'static str),
    /// It is something else, which is to be encoded. ffmpeg takes it for this format.
    Encode(&'static str),
}

/// As much of a stream's start as is worth being looked at.
pub const HEAD: usize = 4096;

/// Where a format has which bytes.
const KNOWN: [(usize, &[u8], &str, Cure); 18] = [
    (4, b"ftyp", "MP4", Cure::Unpack("mp4")),
    (4, b"styp", "MP4", Cure::Unpack("mp4")),
    (4, b"moov", "MP4", Cure::Unpack("mp4")),
    (4, b"moof", "MP4", Cure::Unpack("mp4")),
    (0, &[0x1a, 0x45, 0xdf, 0xa3], "Matroska or WebM", Cure::Unpack("matroska")),
    (0, b"FLV\x01", "FLV", Cure::Unpack("flv")),
    (8, b"AVI ", "AVI", Cure::Unpack("avi")),
    (0, &[0, 0, 1, 0xba], "an MPEG program stream", Cure::Encode("mpeg")),
    (0, b"DKIF", "IVF", Cure::Encode("ivf")),
    (0, b"YUV4MPEG2", "raw video (Y4M)", Cure::Encode("yuv4mpegpipe")),
    (0, &[0xff, 0xd8, 0xff], "JPEG", Cure::Encode("mjpeg")),
    (0, b"\x89PNG", "PNG", Cure::Encode("png_pipe")),
    (0, b"GIF8", "GIF", Cure::Encode("gif")),
    (0, b"OggS", "Ogg", Cure::Encode("ogg")),
    (0, &[0, 0, 1, 0xb3], "MPEG-2 video", Cure::Encode("mpegvideo")),
    (0, &[0, 0, 1, 0xb0], "MPEG-4 video", Cure::Encode("m4v")),
    (0, &[0, 0, 1, 0xb6], "MPEG-4 video", Cure::Encode("m4v")),
    (0, &[0x12, 0, 0x0a], "AV1", Cure::Encode("obu")),
];

/// H.265, whose byte stream has the same start codes.
pub const H265: Foreign = Foreign { name: "H.265 (HEVC)", cure: Cure::Encode("hevc") };

/// Recognises what begins with `head`, or behind lines of text that stand there in front.
pub fn recognise(head: &[u8]) -> Option<Foreign> {
    let text = head.iter().take_while(|&&byte| matches!(byte, b'\t'..=b'~')).count();
    let lines = head[..text].iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    known_by(head).or_else(|| known_by(&head[lines..]))
}

fn known_by(head: &[u8]) -> Option<Foreign> {
    let known = KNOWN.iter().find(|(at, bytes, ..)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    if let Some(&(_, _, name, cure)) = known {
        return Some(Foreign { name, cure });
    }
    if is_transport_stream(head) {
        return Some(Foreign { name: "MPEG-TS", cure: Cure::Unpack("mpegts") });
    }
    has_lengths(head)
        .then_some(Foreign { name: "H.264 with lengths in place of start codes (AVCC)", cure: Cure::StartCodes })
}

/// Whether there is a `sync_byte` every 188 bytes, from the start or, in a stream that was joined, from within the first
/// packet on.
fn is_transport_stream(head: &[u8]) -> bool {
    // The error flag is not set, and `adaptation_field_control` never is 0.
    let is_packet = |packet: &[u8]| match packet {
        [0x47, second, _, fourth, ..] => second & 0x80 == 0 && fourth & 0x30 != 0,
        _ => packet == &b"\x47"[..packet.len().min(1)],
    };
    let packets_from = |at: usize| head[at..].chunks(188).take_while(|packet| is_packet(packet)).count();
    packets_from(0) >= 2 || (0..head.len().min(188)).any(|at| packets_from(at) >= 5)
}

/// Whether NAL units stand behind their lengths, as in MP4.
fn has_lengths(head: &[u8]) -> bool {
    let mut rest = head;
    for found in 0.. {
        let [a, b, c, d, header, ..] = *rest else { return found >= 2 && rest.is_empty() };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(2..32 << 20).contains(&length) || !matches!(header & 0x9f, 1 | 5..=9 | 12) {
            return false;
        }
        match rest.get(4 + length..) {
            Some(behind) => rest = behind,
            // One that goes on behind the head says nothing.
            None => return found >= 2,
        }
        if found >= 3 {
            return true;
        }
    }
    false
}

/// Whether a NAL unit looks like one of H.265: the base layer's, in a temporal sub-layer (H.265 section 7.3.1.2). None of
/// H.264's slices does, for their types are odd.
pub fn looks_like_h265(nal: &[u8]) -> bool {
    let [first, second, ..] = *nal else { return false };
    first & 0x81 == 0 && (1..=7).contains(&second) && matches!(first >> 1, 0..=9 | 16..=21 | 32..=40)
}

/// Whether a NAL unit that looks like one of H.265 is a parameter set there.
pub fn is_h265_parameter_set(nal: &[u8]) -> bool {
    matches!(nal, [0x40 | 0x42 | 0x44, 1, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_how_they_begin() {
        let transport =
            |skipped: usize| [&[0x47, 0x40, 0, 0x10][..], &[0xff; 184]].concat().repeat(7)[skipped..].to_vec();
        let lengths =
            [&[0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 3, 0x67, 1, 2, 0, 0, 0, 2, 0x68, 1, 0, 0, 2, 0, 0x65][..], &[7; 600]]
                .concat();
        for (head, name) in [
            (&b"\0\0\0\x20ftypisom"[..], "MP4"),
            (&[0x1a, 0x45, 0xdf, 0xa3, 1], "Matroska or WebM"),
            (b"DKIF\0\0", "IVF"),
            (&[0xff, 0xd8, 0xff, 0xe0], "JPEG"),
            (b"RIFF\0\0\0\0AVI ", "AVI"),
            (b"YUV4MPEG2 W640", "raw video (Y4M)"),
            (&transport(0), "MPEG-TS"),
            (&transport(100), "MPEG-TS"),
            (&lengths, "H.264 with lengths in place of start codes (AVCC)"),
        ] {
            assert_eq!(recognise(head).map(|foreign| foreign.name), Some(name), "{head:02x?}");
        }
        for head in [
            &[][..],
            b"G",
            b"Got EOS from element",
            &[0, 0, 0, 1, 0x67],
            &[0, 0, 0, 0, 0, 0, 1, 9],
            &[0x61; 4096],
            &[0x47; 4096],
        ] {
            assert_eq!(recognise(head), None, "{head:02x?}");
        }
    }

    #[test]
    fn text_in_front_hides_no_format() {
        let text = b"Setting pipeline to PAUSED ...\nNew clock: GstSystemClock\n";
        for (bytes, name) in [(&[0xff, 0xd8, 0xff, 0xe0][..], "JPEG"), (b"YUV4MPEG2 W640", "raw video (Y4M)")] {
            assert_eq!(recognise(&[text, bytes].concat()).map(|foreign| foreign.name), Some(name));
        }
        assert_eq!(recognise(text), None);
    }

    #[test]
    fn no_slice_of_h264_looks_like_h265() {
        for header in 0..=0xffu8 {
            assert!(!matches!(header & 0x1f, 1 | 5 | 7) || !looks_like_h265(&[header, 1]), "{header:#x}");
        }
        assert!(looks_like_h265(&[0x40, 1]) && looks_like_h265(&[0x26, 1]) && looks_like_h265(&[2, 1]));
    }
}
