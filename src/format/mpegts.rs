//! MPEG-TS (ISO/IEC 13818-1) with one H.264 stream in it, so that each picture carries its own presentation time.
//!
//! What go2rtc asks of a transport stream is what [`Muxer`] writes:
//!
//! - PAT and PMT stand first, and again before every IDR picture and every [`TABLES_EVERY`];
//! - each picture has a PTS, and a DTS where that is another time: in streams of other programs that have B pictures;
//! - one access unit is one PES packet, with an access unit delimiter in front, so none holds a delimiter or an SEI
//!   alone, which would crash go2rtc;
//! - `PES_packet_length` is set, so that a picture is passed on with its last byte and not with the next one's first.
//!   The field has 16 bits: an access unit of more than 65,521 bytes is written without and passed on one
//!   picture late;
//! - no packet consists of an adaptation field alone, which go2rtc takes for an error. The PCR travels in the first
//!   packet of a picture, and stuffing in its last one. (Under 10 pictures/s the PCR comes less often than the 100 ms of
//!   section 2.7.2 for that reason.)
//!
//! Written here and not taken from a crate: `mpeg2ts` 0.6 writes the PCR's reserved bits as zeros, stuffs tables
//! through the adaptation field, which section 2.4.3.5 keeps for PES packets, and names no oldest Rust.

use super::annexb::byte_stream;
use super::transport::{CLOCK_MASK, Continuity, PACKET_BYTES, PAT_PID, PMT_PID, Transport, VIDEO_PID, clock_90khz};
use crate::codec::{ACCESS_UNIT_DELIMITER, AccessUnit};
use std::time::Duration;

/// Every packet starts with this byte.
pub const SYNC_BYTE: u8 = 0x47;
/// How long PAT and PMT stand before they are written again.
pub const TABLES_EVERY: Duration = Duration::from_millis(100);
/// The longest access unit whose PES packet states its length.
#[cfg(test)]
pub const MAX_BOUNDED: usize = 0xffff - (PES_HEADER_BYTES - 6) - ACCESS_UNIT_DELIMITER.len();

/// `stream_type` of H.264 (table 2-34).
const STREAM_TYPE_H264: u8 = 0x1b;
/// `stream_id` of the first video stream (table 2-22).
const STREAM_ID_VIDEO: u8 = 0xe0;
/// Without a DTS.
const PES_HEADER_BYTES: usize = 14;
const DTS_BYTES: usize = 5;
const FLAGS_AND_PCR_BYTES: usize = 7;
/// Section 2.4.3.2.
pub const PACKET_HEADER_BYTES: usize = 4;
const PAYLOAD_BYTES: usize = PACKET_BYTES - PACKET_HEADER_BYTES;
/// The CRC of annex A.
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_MPEG_2);

/// Writes access units as a transport stream. Made once a stream.
#[derive(Debug)]
pub struct Muxer {
    /// From the time of a picture on the grid, which is its PCR, until it is shown. It covers drawing, encoding and
    /// writing, so no byte of a picture arrives after its time (section 2.4.2.3).
    lead: Duration,
    /// The time at which the stream begins, in units of the 90 kHz clock.
    epoch: u64,
    tables_at: Option<Duration>,
    continuity: Continuity,
    pes: Vec<u8>,
    packets: Vec<u8>,
}

impl Muxer {
    /// A stream whose pictures are shown `lead` after their time, and whose times begin at `begin`.
    pub fn new(lead: Duration, begin: Duration) -> Self {
        Self { epoch: clock_90khz(begin), ..Self::continuing(lead, Continuity::default()) }
    }

    /// A stream that somebody else began to write.
    pub fn continuing(lead: Duration, continuity: Continuity) -> Self {
        Self { lead, epoch: 0, tables_at: None, continuity, pes: Vec::new(), packets: Vec::new() }
    }

    /// A stream that another process began, with its times and counters.
    pub fn resuming(lead: Duration, transport: Transport) -> Self {
        Self { epoch: transport.epoch, ..Self::continuing(lead, transport.continuity) }
    }

    /// Where it has come to.
    pub fn transport(&self) -> Transport {
        Transport { continuity: self.continuity, epoch: self.epoch }
    }

    /// Makes room for access units of so many bytes.
    pub fn reserve(&mut self, bytes: usize) {
        let pes = PES_HEADER_BYTES + DTS_BYTES + ACCESS_UNIT_DELIMITER.len() + bytes;
        self.pes.reserve(pes);
        // Two tables, and a packet more than whole ones for the PCR and stuffing.
        self.packets.reserve((pes / PAYLOAD_BYTES + 4) * PACKET_BYTES);
    }

    /// The packets of one picture, with the tables in front where they are due.
    pub fn write(&mut self, unit: &AccessUnit) -> &[u8] {
        self.packets.clear();
        let (pts, dts) = (unit.pts(), unit.dts());
        if unit.is_idr() || self.tables_at.is_none_or(|at| dts.saturating_sub(at) >= TABLES_EVERY) {
            self.tables_at = Some(dts);
            self.write_tables();
        }
        self.pes.clear();
        let decode = (dts != pts).then(|| self.time(dts + self.lead));
        pes_header(self.time(pts + self.lead), decode, &mut self.pes);
        self.pes.extend_from_slice(&ACCESS_UNIT_DELIMITER);
        byte_stream(unit, &mut self.pes);
        // The 6 bytes up to the field are not counted.
        let length = u16::try_from(self.pes.len() - 6).unwrap_or(0);
        self.pes[4..6].copy_from_slice(&length.to_be_bytes());
        self.write_pes(self.time(dts), unit.is_idr());
        &self.packets
    }

    /// A time in the stream on the 90 kHz clock. The epoch is whole, so pictures on a grid stay on it.
    fn time(&self, since_begin: Duration) -> u64 {
        (clock_90khz(since_begin) + self.epoch) & CLOCK_MASK
    }

    fn write_tables(&mut self) {
        let counter = self.continuity.pat.next();
        // Section 2.4.4.3: transport stream 1 holds program 1, which PMT_PID describes.
        let [high, low] = reserved_and_pid(PMT_PID);
        self.write_section(PAT_PID, counter, &[0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, high, low]);
        let counter = self.continuity.pmt.next();
        // Section 2.4.4.8: program 1 has its PCR and its one stream on VIDEO_PID, and no descriptors.
        let [high, low] = reserved_and_pid(VIDEO_PID);
        let program = [0x02, 0xb0, 18, 0, 1, 0xc1, 0, 0, high, low, 0xf0, 0, STREAM_TYPE_H264, high, low, 0xf0, 0];
        self.write_section(PMT_PID, counter, &program);
    }

    /// One section in one packet: `pointer_field`, section, CRC, and 0xff to the packet's end (section 2.4.4).
    fn write_section(&mut self, pid: u16, counter: u8, section: &[u8]) {
        let end = self.packets.len() + PACKET_BYTES;
        self.packets.extend_from_slice(&packet_header(pid, true, false, counter));
        self.packets.push(0);
        self.packets.extend_from_slice(section);
        self.packets.extend_from_slice(&CRC.checksum(section).to_be_bytes());
        self.packets.resize(end, 0xff);
    }

    fn write_pes(&mut self, pcr: u64, random_access: bool) {
        let mut rest = &self.pes[..];
        let mut start = true;
        while !rest.is_empty() {
            // Adaptation field, section 2.4.3.4: its length, flags, the PCR in the first packet, stuffing in the last.
            let needed = if start { 1 + FLAGS_AND_PCR_BYTES } else { 0 };
            let payload = rest.len().min(PAYLOAD_BYTES - needed);
            let field = PAYLOAD_BYTES - payload;
            self.packets.extend_from_slice(&packet_header(VIDEO_PID, start, field > 0, self.continuity.video.next()));
            let end = self.packets.len() + field;
            if field > 0 {
                self.packets.push((field - 1) as u8);
            }
            if start {
                self.packets.extend_from_slice(&flags_and_pcr(pcr, random_access));
            } else if field > 1 {
                self.packets.push(0);
            }
            self.packets.resize(end, 0xff);
            self.packets.extend_from_slice(&rest[..payload]);
            rest = &rest[payload..];
            start = false;
        }
    }
}

/// Section 2.4.3.2.
fn packet_header(pid: u16, start: bool, has_adaptation_field: bool, counter: u8) -> [u8; PACKET_HEADER_BYTES] {
    let [high, low] = pid.to_be_bytes();
    // `adaptation_field_control`: every packet here has a payload.
    let control = if has_adaptation_field { 0x30 } else { 0x10 };
    [SYNC_BYTE, u8::from(start) << 6 | high, low, control | counter]
}

/// A PID behind three reserved bits, which are ones as all reserved bits are (section 2.1).
fn reserved_and_pid(pid: u16) -> [u8; 2] {
    (0xe000 | pid).to_be_bytes()
}

/// `random_access_indicator`, `PCR_flag` and the PCR, whose extension is zero (section 2.4.3.5).
fn flags_and_pcr(base: u64, random_access: bool) -> [u8; FLAGS_AND_PCR_BYTES] {
    let [_, _, pcr @ ..] = (base << 15 | 0x7e00).to_be_bytes();
    let mut field = [u8::from(random_access) << 6 | 0x10; FLAGS_AND_PCR_BYTES];
    field[1..].copy_from_slice(&pcr);
    field
}

/// Section 2.4.3.6, of a packet whose length is still to be filled in. `data_alignment_indicator` is set, for the payload
/// begins with an access unit.
fn pes_header(pts: u64, dts: Option<u64>, pes: &mut Vec<u8>) {
    let (flags, bytes) = if dts.is_some() { (0xc0, 2 * DTS_BYTES) } else { (0x80, DTS_BYTES) };
    pes.extend_from_slice(&[0, 0, 1, STREAM_ID_VIDEO, 0, 0, 0x84, flags, bytes as u8]);
    pes.extend_from_slice(&time_stamp(if dts.is_some() { 3 } else { 2 }, pts));
    if let Some(dts) = dts {
        pes.extend_from_slice(&time_stamp(1, dts));
    }
}

/// A PTS or DTS behind its `prefix` of four bits.
fn time_stamp(prefix: u64, time: u64) -> [u8; DTS_BYTES] {
    let parts = (time >> 30) << 33 | (time >> 15 & 0x7fff) << 17 | (time & 0x7fff) << 1;
    let [.., a, b, c, d, e] = (prefix << 36 | 0x01_0001_0001 | parts).to_be_bytes();
    [a, b, c, d, e]
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn unit(nal: &[u8], pts: Duration) -> AccessUnit {
        let mut unit = AccessUnit::default();
        unit.begin(pts);
        unit.push_annex_b(&[&[0, 0, 0, 1], nal].concat());
        unit
    }

    /// A picture that is no IDR picture, in so many bytes.
    pub fn p_picture(bytes: usize, pts: Duration) -> AccessUnit {
        // The start code makes four of them.
        let unit = unit(&[&[0x61][..], &vec![0x55; bytes - 5]].concat(), pts);
        assert_eq!(laid_out(&unit).len(), bytes);
        unit
    }

    fn laid_out(unit: &AccessUnit) -> Vec<u8> {
        let mut bytes = Vec::new();
        byte_stream(unit, &mut bytes);
        bytes
    }

    /// A stream cut into its packets.
    pub fn packets(stream: &[u8]) -> Vec<[u8; PACKET_BYTES]> {
        assert_eq!(stream.len() % PACKET_BYTES, 0);
        stream.chunks(PACKET_BYTES).map(|packet| packet.try_into().unwrap()).collect()
    }

    #[test]
    fn the_first_picture_byte_for_byte() {
        let mut muxer = Muxer::new(40 * MS, Duration::ZERO);
        let stream = packets(muxer.write(&unit(&[0x65, 0xaa, 0xbb], 80 * MS)));
        assert_eq!(stream.len(), 3);

        // Table 2-2, then table 2-30: pointer_field; table_id 0, section_length 13, transport_stream_id 1, version 0,
        // current, section 0 of 0; program 1 on PID 0x1000; CRC_32.
        let pat = [0x47, 0x40, 0, 0x10, 0, 0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0, 0x2a, 0xb1, 0x04, 0xb2];
        assert_eq!(stream[0][..pat.len()], pat);
        assert!(stream[0][pat.len()..].iter().all(|&byte| byte == 0xff));

        // Table 2-33: table_id 2, section_length 18, program 1, PCR_PID 0x100, no program_info; stream_type 0x1b on PID
        // 0x100, no ES_info; CRC_32.
        let pmt = [0x47, 0x50, 0, 0x10, 0, 2, 0xb0, 18, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0, 0x1b, 0xe1, 0, 0xf0, 0];
        assert_eq!(stream[1][..pmt.len()], pmt);
        assert_eq!(stream[1][pmt.len()..pmt.len() + 4], [0x15, 0xbd, 0x4d, 0x56]);
        assert!(stream[1][pmt.len() + 4..].iter().all(|&byte| byte == 0xff));

        // 27 bytes of PES packet leave 157 of adaptation field: its length, random access and PCR, PCR base 7200
        // (80 ms) with reserved bits and extension, stuffing.
        let video = &stream[2];
        assert_eq!(video[..12], [0x47, 0x41, 0, 0x30, 156, 0x50, 0, 0, 0x0e, 0x10, 0x7e, 0]);
        assert!(video[12..161].iter().all(|&byte| byte == 0xff));
        // Table 2-21: stream 0xe0, 21 bytes follow; aligned; PTS only, 5 bytes: 10800, the 80 ms and one interval.
        assert_eq!(video[161..175], [0, 0, 1, 0xe0, 0, 21, 0x84, 0x80, 5, 0x21, 0, 1, 0x54, 0x61]);
        assert_eq!(video[175..], [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x65, 0xaa, 0xbb]);
    }

    #[test]
    fn times_begin_where_they_are_told_to_and_stay_on_the_grid() {
        // 26.5 hours, after which the clock wraps around, and no whole number of its ticks.
        let epoch = Duration::from_nanos(((1 << 33) + 90_000) * 100_000 / 9 + 7);
        let (mut plain, mut later) = (Muxer::new(40 * MS, Duration::ZERO), Muxer::new(40 * MS, epoch));
        let times = |stream: &[u8]| {
            let video = stream[stream.len() - PACKET_BYTES..].to_vec();
            // The PCR's base without its lowest bit, and the PTS of less than 32768 ticks times 128.
            let pcr = u32::from_be_bytes(video[6..10].try_into().unwrap()) << 1 | u32::from(video[10] >> 7);
            let pts = video.windows(3).position(|three| three == [0x84, 0x80, 5]).unwrap() + 3;
            let middle = u32::from(video[pts + 1]) << 8 | u32::from(video[pts + 2] & 0xfe);
            (pcr, middle << 14 | u32::from(video[pts + 3]) << 7 | u32::from(video[pts + 4] >> 1))
        };
        for k in 0..100 {
            let picture = unit(&[0x41, 0xaa], Duration::from_nanos(k * 1001 * 1_000_000_000 / 30_000));
            let (begun, moved) = (times(plain.write(&picture)), times(later.write(&picture)));
            assert_eq!((moved.0 - begun.0, moved.1 - begun.1), (90_000, 90_000), "a second behind the wrap");
        }
    }

    #[test]
    fn every_size_fills_its_packets_and_never_one_with_stuffing_alone() {
        let mut counter = 0u32;
        let mut muxer = Muxer::new(40 * MS, Duration::ZERO);
        muxer.write(&p_picture(10, Duration::ZERO));
        counter += 1;
        for bytes in (10..800).chain(65_000..65_600) {
            let written = p_picture(bytes, Duration::ZERO);
            let mut elementary = Vec::new();
            let mut length = None;
            for packet in packets(muxer.write(&written)) {
                assert_eq!(packet[1] & 0x1f, 1, "tables are not due");
                assert_eq!(u32::from(packet[3] & 0x0f), counter % 16, "{bytes} bytes");
                counter += 1;
                let field = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
                // go2rtc's limit.
                assert!(field <= 183, "{bytes} bytes");
                assert_eq!(packet[3] & 0x10, 0x10, "a payload");
                assert_eq!(packet[1] & 0x40 != 0, length.is_none());
                let payload = &packet[4 + field..];
                if length.is_none() {
                    assert!(field >= 8 && packet[5] == 0x10, "a PCR and no random access");
                    length = Some(usize::from(u16::from_be_bytes([payload[4], payload[5]])));
                    elementary.extend_from_slice(&payload[PES_HEADER_BYTES..]);
                } else {
                    elementary.extend_from_slice(payload);
                }
            }
            assert_eq!(elementary, [&ACCESS_UNIT_DELIMITER, &laid_out(&written)[..]].concat());
            let bounded = bytes <= MAX_BOUNDED;
            assert_eq!(length, Some(if bounded { elementary.len() + 8 } else { 0 }), "{bytes} bytes");
        }
        assert_eq!(MAX_BOUNDED, 65_521);
    }

    #[test]
    fn tables_come_before_each_idr_and_every_100_ms() {
        let mut muxer = Muxer::new(40 * MS, Duration::ZERO);
        let has_tables: Vec<_> = (0..12)
            .map(|k| {
                let nal = if k % 7 == 0 { [0x65, 1] } else { [0x61, 1] };
                let stream = packets(muxer.write(&unit(&nal, k * 40 * MS)));
                let counters: Vec<_> = stream.iter().map(|packet| packet[3] & 0x0f).collect();
                (stream.len() == 3, counters[0])
            })
            .collect();
        let with_tables: Vec<_> = has_tables.iter().map(|&(tables, _)| tables).collect();
        let t = true;
        let f = false;
        assert_eq!(with_tables, [t, f, f, t, f, f, t, t, f, f, t, f]);
        let pat_counters: Vec<_> =
            has_tables.iter().filter(|(tables, _)| *tables).map(|&(_, counter)| counter).collect();
        assert_eq!(pat_counters, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn clocks_are_on_the_grid_and_wrap_at_33_bits() {
        // 30000/1001 pictures/s are 3003 ticks apart, though a Duration holds whole nanoseconds only.
        for k in 0..1000u64 {
            let pts = Duration::from_nanos(k * 1001 * 1_000_000_000 / 30_000);
            assert_eq!(clock_90khz(pts), k * 3003);
        }
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(clock_90khz(2 * day), 2 * 24 * 3600 * 90_000 - (1 << 33));
        // All 33 bits between their markers.
        assert_eq!(time_stamp(2, CLOCK_MASK), [0x2f, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(time_stamp(2, 1 << 30 | 1 << 15 | 1), [0x23, 0, 3, 0, 3]);
        assert_eq!(flags_and_pcr(CLOCK_MASK, false), [0x10, 0xff, 0xff, 0xff, 0xff, 0xfe, 0]);
    }
}
