//! Reads a transport stream by go2rtc's rules and fails where go2rtc would.

use mb_encode::parts::{NalUnit, NalUnitType, nal_units};

/// One PES packet.
pub struct Picture {
    /// 90 kHz.
    pub pts: u64,
    pub pcr: Option<u64>,
    pub is_idr: bool,
    pub bytes: Vec<u8>,
}

/// All pictures of a stream, which may end anywhere in a packet but not in a picture.
///
/// Checks on the way: whole packets, PAT then PMT before any video and again before each IDR picture, no packet without
/// payload, continuity, stated lengths that are right, one access unit in each PES packet with its delimiter in front.
pub fn demux(stream: &[u8]) -> Vec<Picture> {
    assert_eq!(stream.len() % 188, 0, "whole packets");
    let mut pictures: Vec<Picture> = Vec::new();
    let mut counters = [None; 0x2000];
    let (mut pmt_pid, mut video_pid) = (None, None);
    let mut rest = 0;
    for (at, packet) in stream.chunks(188).enumerate() {
        assert_eq!(packet[0], 0x47, "packet {at} is in step");
        let start = packet[1] & 0x40 != 0;
        let pid = usize::from(packet[1] & 0x1f) << 8 | usize::from(packet[2]);
        assert_eq!(packet[3] & 0x10, 0x10, "packet {at} has a payload");
        let field = if packet[3] & 0x20 == 0 { &[] } else { &packet[4..5 + usize::from(packet[4])] };
        assert!(field.len() <= 183, "packet {at}: go2rtc takes an adaptation field of 182 bytes at most");
        let counter = packet[3] & 0x0f;
        if let Some(last) = counters[pid].replace(counter) {
            assert_eq!(counter, (last + 1) & 0x0f, "packet {at}: continuity of PID {pid:#x}");
        }
        let payload = &packet[4 + field.len()..];
        if pid == 0 {
            let section = section(payload);
            pmt_pid = Some(usize::from(section[10] & 0x1f) << 8 | usize::from(section[11]));
        } else if Some(pid) == pmt_pid {
            let section = section(payload);
            assert_eq!(section[12], 0x1b, "the stream is H.264");
            video_pid = Some(usize::from(section[13] & 0x1f) << 8 | usize::from(section[14]));
        } else if Some(pid) == video_pid {
            if start {
                assert_eq!(rest, 0, "packet {at}: a picture was cut short");
                assert_eq!(payload[..3], [0, 0, 1]);
                let length = usize::from(payload[4]) << 8 | usize::from(payload[5]);
                assert_ne!(length, 0, "packet {at}: the length is stated");
                assert_eq!(payload[7] & 0xc0, 0x80, "a PTS and no DTS");
                let clock = &payload[9..14];
                let pts = u64::from(clock[0] >> 1 & 7) << 30
                    | (u64::from(clock[1]) << 8 | u64::from(clock[2])) >> 1 << 15
                    | (u64::from(clock[3]) << 8 | u64::from(clock[4])) >> 1;
                let pcr = field.get(1).is_some_and(|flags| flags & 0x10 != 0).then(|| {
                    field[2..6].iter().fold(0, |base, &byte| base << 8 | u64::from(byte)) << 1
                        | u64::from(field[6] >> 7)
                });
                let header = 9 + usize::from(payload[8]);
                rest = 6 + length - header;
                pictures.push(Picture { pts, pcr, is_idr: false, bytes: Vec::new() });
                take(&mut pictures, &mut rest, &payload[header..]);
            } else {
                take(&mut pictures, &mut rest, payload);
            }
        } else {
            assert_eq!(pid, 0x11, "packet {at}: a PID that no table names, or video before the tables");
        }
    }
    assert_eq!(rest, 0, "the last picture is whole");
    for (at, picture) in pictures.iter_mut().enumerate() {
        let types: Vec<_> = nal_units(&picture.bytes).map(NalUnit::nal_unit_type).collect();
        assert_eq!(types[0], NalUnitType::AccessUnitDelimiter, "picture {at}");
        let count = |wanted| types.iter().filter(|&&its| its == wanted).count();
        assert_eq!(count(NalUnitType::AccessUnitDelimiter), 1, "picture {at}: {types:?}");
        // A delimiter or an SEI alone crashes go2rtc.
        assert_eq!(count(NalUnitType::Slice) + count(NalUnitType::IdrSlice), 1, "picture {at}: {types:?}");
        picture.is_idr = count(NalUnitType::IdrSlice) == 1;
        assert!(!picture.is_idr || types[1..3] == [NalUnitType::Sps, NalUnitType::Pps], "picture {at}: {types:?}");
    }
    assert!(pictures.windows(2).all(|pair| pair[0].pts < pair[1].pts), "time goes on");
    assert!(
        pictures.iter().all(|picture| picture.pcr.is_none_or(|pcr| pcr <= picture.pts)),
        "no picture comes too late"
    );
    assert!(pictures.first().is_some_and(|first| first.is_idr && first.pcr.is_some()), "decoding can start");
    pictures
}

/// The stream up to the end of its last whole picture.
pub fn whole_pictures(stream: &[u8]) -> &[u8] {
    let (mut rest, mut end) = (0, 0);
    for (at, packet) in stream.chunks_exact(188).enumerate().filter(|(_, packet)| packet[1..3] != [0x40, 0]) {
        let field = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
        let payload = &packet[4 + field..];
        if payload.starts_with(&[0, 0, 1, 0xe0]) && packet[1] & 0x40 != 0 {
            rest = 6 + (usize::from(payload[4]) << 8 | usize::from(payload[5]));
        }
        if rest > 0 {
            rest -= payload.len();
            if rest == 0 {
                end = (at + 1) * 188;
            }
        }
    }
    &stream[..end]
}

fn section(payload: &[u8]) -> &[u8] {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_MPEG_2);
    let section = &payload[1 + usize::from(payload[0])..];
    let section = &section[..3 + (usize::from(section[1] & 0x0f) << 8 | usize::from(section[2]))];
    assert_eq!(CRC.checksum(section), 0, "over a section with its CRC");
    section
}

fn take(pictures: &mut [Picture], rest: &mut usize, payload: &[u8]) {
    assert!(payload.len() <= *rest, "more than the stated length");
    *rest -= payload.len();
    pictures.last_mut().expect("a picture was started").bytes.extend_from_slice(payload);
}
