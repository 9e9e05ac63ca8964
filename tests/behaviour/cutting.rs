//! One packet in go2rtc is one picture, whatever the size, scene, rate, bitrate and GOP.

use crate::annex_b::{Nal, go2rtc_packets, nals, opens_in_go2rtc};
use crate::support::decode;
use crate::support::process::{Process, mb_encode};
use h264_reader::Context;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::slice::{SliceFamily, SliceHeader};
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal as _, RefNal, UnitType};
use std::process::Stdio;

/// One stream to check, with the program's defaults except for its length.
struct Case {
    size: (u32, u32),
    scene: &'static str,
    fps: &'static str,
    bitrate: &'static str,
    gop: Option<usize>,
    /// What the GOP is if none is asked for.
    second: usize,
    pictures: usize,
}

impl Default for Case {
    fn default() -> Self {
        Self { size: (320, 180), scene: "testcard", fps: "60", bitrate: "6M", gop: None, second: 60, pictures: 20 }
    }
}

impl Case {
    fn stream(&self) -> Vec<u8> {
        let mut command = mb_encode();
        command.args(["--stdout", "--no-pace", "--encoder", crate::ENCODER, "--scene", self.scene]);
        command.args(["--fps", self.fps, "--bitrate", self.bitrate]);
        for (name, value) in [
            ("--width", self.size.0.to_string()),
            ("--height", self.size.1.to_string()),
            ("--frames", self.pictures.to_string()),
        ] {
            command.args([name, &value]);
        }
        if let Some(gop) = self.gop {
            command.args(["--gop", &gop.to_string()]);
        }
        let mut process = Process::start(command.stdout(Stdio::piped()));
        let stream = process.stdout().all();
        let ended = process.wait();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        stream
    }

    /// As wide at least as the encoder takes.
    fn check(self) {
        let size = (self.size.0.max(crate::LEAST_WIDTH), self.size.1);
        Self { size, ..self }.check_as_it_is();
    }

    fn check_as_it_is(&self) {
        let what = format!(
            "{}x{} {} {}/s {} GOP {:?}",
            self.size.0, self.size.1, self.scene, self.fps, self.bitrate, self.gop
        );
        let stream = self.stream();
        opens_in_go2rtc(&stream).unwrap_or_else(|why| panic!("{what}: {why}"));

        let packets = go2rtc_packets(&stream);
        assert_eq!(packets.len(), self.pictures, "{what}: packets");
        assert!(packets[0].len() >= 256, "{what}: the first access unit has {} bytes", packets[0].len());
        let gop = self.gop.unwrap_or(self.second);
        let mut context = Context::new();
        let mut parameter_sets = None;
        for (at, packet) in packets.iter().enumerate() {
            let what = format!("{what}, picture {at}");
            let nals = nals(packet);
            let types: Vec<u8> = nals.iter().map(Nal::unit_type).filter(|&unit_type| unit_type != 12).collect();
            let is_idr = at % gop == 0;
            assert_eq!(types, if is_idr { &[7u8, 8, 5][..] } else { &[1] }, "{what}");
            // Filler stands behind the slice and never begins a packet.
            let long: Vec<bool> = nals.iter().map(|nal| nal.start_code == 4).collect();
            let expected: Vec<bool> = nals.iter().map(|nal| nal.unit_type() != 12).collect();
            assert_eq!(long, expected, "{what}: 4-byte start codes");
            if is_idr {
                let sets = (nals[0].bytes, nals[1].bytes);
                assert_eq!(*parameter_sets.get_or_insert(sets), sets, "{what}: parameter sets changed");
            }
            for nal in &nals {
                self.check_nal(&mut context, nal.bytes, is_idr, &what);
            }
        }

        let marks = decode::marks(&stream, self.size);
        assert_eq!(marks.len(), self.pictures, "{what}: decoded pictures");
        // Too few bits for the strip, and a scene without one.
        if self.scene == "testcard" && !self.bitrate.ends_with('k') {
            for (at, mark) in marks.iter().enumerate() {
                assert_eq!(mark.map(|mark| mark.frame as usize), Some(at), "{what}: the strip of picture {at}");
            }
        }
    }

    fn check_nal(&self, context: &mut Context, bytes: &[u8], is_idr: bool, what: &str) {
        let nal = RefNal::new(bytes, &[], true);
        let header = nal.header().unwrap_or_else(|error| panic!("{what}: {error:?}"));
        match header.nal_unit_type() {
            UnitType::SeqParameterSet => {
                let sps = SeqParameterSet::from_bits(nal.rbsp_bits()).unwrap_or_else(|e| panic!("{what}: {e:?}"));
                self.check_sps(&sps, what);
                context.put_seq_param_set(sps);
            }
            UnitType::PicParameterSet => {
                let pps = PicParameterSet::from_bits(context, nal.rbsp_bits());
                context.put_pic_param_set(pps.unwrap_or_else(|error| panic!("{what}: {error:?}")));
            }
            UnitType::SliceLayerWithoutPartitioningIdr | UnitType::SliceLayerWithoutPartitioningNonIdr => {
                let (slice, _, _) = SliceHeader::from_bits(context, &mut nal.rbsp_bits(), header, None)
                    .unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert_eq!(slice.first_mb_in_slice, 0, "{what}: a slice is a picture");
                let family = if is_idr { SliceFamily::I } else { SliceFamily::P };
                assert_eq!(slice.slice_type.family, family, "{what}");
                assert!(header.nal_ref_idc() > 0, "{what}: every picture is a reference");
            }
            _ => {}
        }
    }

    fn check_sps(&self, sps: &SeqParameterSet, what: &str) {
        assert_eq!(sps.pixel_dimensions().ok(), Some(self.size), "{what}");
        let vui = sps.vui_parameters.as_ref().unwrap_or_else(|| panic!("{what}: no VUI"));
        let signal = vui.video_signal_type.as_ref().unwrap_or_else(|| panic!("{what}: no video_signal_type"));
        assert!(!signal.video_full_range_flag, "{what}: limited range");
        let colours = signal.colour_description.as_ref().unwrap_or_else(|| panic!("{what}: no colours"));
        let codes = (colours.colour_primaries, colours.transfer_characteristics, colours.matrix_coefficients);
        assert_eq!(codes, (1, 1, 1), "{what}: BT.709");
        let restrictions = vui.bitstream_restrictions.as_ref().unwrap_or_else(|| panic!("{what}: no restriction"));
        assert_eq!(restrictions.max_num_reorder_frames, 0, "{what}");
        let promises = vui.timing_info.as_ref().is_some_and(|timing| timing.fixed_frame_rate_flag);
        assert!(!promises, "{what}: a frame that is late is skipped, so no rate is promised");
    }
}

const SCENES: [&str; 2] = ["testcard", "bar"];

#[test]
fn at_small_sizes() {
    for size in [(64, 64), (66, 130), (130, 66), (64, 2160), (3840, 64), (98, 94), (640, 360)] {
        for scene in SCENES {
            Case { size, scene, ..Case::default() }.check();
        }
    }
}

#[test]
fn at_large_sizes() {
    for (size, pictures) in [((1280, 720), 8), ((1920, 1080), 6), ((2160, 3840), 3), ((3840, 2160), 3)] {
        for scene in SCENES {
            Case { size, scene, pictures, gop: Some(2), ..Case::default() }.check();
        }
    }
}

#[test]
fn at_every_frame_rate() {
    for (fps, second) in [("1", 1), ("24000/1001", 24), ("25", 25), ("30000/1001", 30), ("60", 60), ("240", 240)] {
        for scene in SCENES {
            Case { fps, second, scene, pictures: second * 2 + 3, size: (128, 96), ..Case::default() }.check();
        }
    }
}

#[test]
fn at_every_bitrate() {
    for bitrate in ["64k", "300k", "2.5M", "50M", "250M"] {
        for scene in SCENES {
            Case { bitrate, scene, pictures: 70, ..Case::default() }.check();
        }
    }
}

#[test]
fn with_every_gop() {
    for gop in [1, 2, 7, 59, 3600] {
        for scene in SCENES {
            Case { gop: Some(gop), scene, pictures: 61, ..Case::default() }.check();
        }
    }
}
