//! What the encoder is asked for: low delay, a constant rate, and a stream that can be joined each second.

use crate::annex_b::{nals, pictures};
use crate::run::{Run, size};
use crate::support::sim::Report;

/// `NV_ENC_PARAMS_RC_CBR`.
const CBR: u64 = 2;

/// `repeatSPSPPS` of `NV_ENC_CONFIG_H264`.
const PARAMETER_SETS_WITH_EACH_IDR: u64 = 1 << 12;
/// `enableVFR` there. Without it a driver may promise in the SPS that no picture is ever late.
const NO_RATE_PROMISED: u64 = 1 << 13;

/// What every stream is asked for. The simulated driver's presets have something else in each of these fields.
const LIVE: [(&str, u64); 43] = [
    // No look-ahead, no reordering, no waiting.
    ("lookaheadDepth", 0),
    ("enableLookahead", 0),
    ("enableExtLookahead", 0),
    ("zeroReorderDelay", 1),
    ("frameIntervalP", 1),
    ("useBFramesAsRef", 0),
    ("enableEncodeAsync", 0),
    ("enablePTD", 1),
    // The rate.
    ("rateControlMode", CBR),
    ("targetQuality", 0),
    ("targetQualityLSB", 0),
    ("lowDelayKeyFrameScale", 3),
    // Nothing that go2rtc cuts wrongly, and one picture after the other.
    // And nothing else: no delimiters, no SEI, no filler, no intra refresh.
    ("h264Flags", PARAMETER_SETS_WITH_EACH_IDR | NO_RATE_PROMISED),
    ("sliceMode", 3),
    ("sliceModeData", 1),
    ("spsId", 0),
    ("ppsId", 0),
    ("intraRefreshPeriod", 0),
    ("intraRefreshCnt", 0),
    ("ltrNumFrames", 0),
    ("ltrTrustMode", 0),
    // What a browser plays, at the level that the picture needs.
    ("profileIdc", 100),
    ("level", 0),
    ("frameFieldMode", 1),
    ("monoChromeEncoding", 0),
    ("chromaFormatIDC", 1),
    ("separateColourPlaneFlag", 0),
    // BT.709, limited range.
    ("videoSignalTypePresentFlag", 1),
    ("videoFormat", 5),
    ("videoFullRangeFlag", 0),
    ("colourDescriptionPresentFlag", 1),
    ("colourPrimaries", 1),
    ("transferCharacteristics", 1),
    ("colourMatrix", 1),
    ("overscanInfoPresentFlag", 0),
    ("chromaSampleLocationFlag", 0),
    ("timingInfoPresentFlag", 0),
    ("bitstreamRestrictionFlag", 1),
    ("encodeWidth", 320),
    ("encodeHeight", 180),
    ("gopLength", 60),
    ("idrPeriod", 60),
    ("frameRateDen", 1),
];

fn asked(report: &Report, expected: &[(&str, u64)]) {
    for (what, value) in expected {
        assert_eq!(report.count(&format!("asked.{what}")), *value, "{what} in {:?}", report.all("asked."));
    }
}

#[test]
fn for_low_delay_with_each_preset_and_tuning() {
    for (option, number) in [("p1", 1), ("p2", 2), ("p3", 3), ("p4", 4), ("p5", 5), ("p6", 6), ("p7", 7)] {
        for (tuning, value) in [("ll", 2), ("ull", 3)] {
            let options = ["--stdout", "--no-pace", "--frames", "2", "--width", "320", "--height", "180"];
            let ended = Run::new(&[&options[..], &["--preset", option, "--tuning", tuning]].concat()).finish();
            let report = &ended.assert_well().report;
            asked(report, &[("preset", number), ("tuningInfo", value)]);
            asked(report, &LIVE);
            // The old call without a tuning, which newer drivers refuse, is never made.
            assert_eq!(report.count("call.NvEncGetEncodePresetConfig"), 0);
            assert_eq!(report.count("call.NvEncGetEncodePresetConfigEx"), 1);
        }
    }
}

#[test]
fn for_the_rate_and_a_buffer_of_as_many_pictures_as_are_said() {
    // What is said; the rate; the bitrate; the pictures in the buffer, by a thousand.
    for (options, rate, bps, milli) in [
        (&["--fps", "60", "--bitrate", "6M"][..], (60, 1), 6_000_000, 1500),
        (&["--fps", "30000/1001", "--bitrate", "2.5M"], (30_000, 1001), 2_500_000, 1500),
        (&["--fps", "1", "--bitrate", "64k"], (1, 1), 64_000, 1500),
        (&["--fps", "240", "--bitrate", "400M"], (240, 1), 400_000_000, 1500),
        // Where IDR pictures are rare, one of them is no pulse.
        (&["--gop", "1s"], (60, 1), 6_000_000, 1500),
        (&["--gop", "4s"], (60, 1), 6_000_000, 1000),
        (&["--gop", "3600", "--fps", "30"], (30, 1), 6_000_000, 1000),
        // What is said counts.
        (&["--vbv", "1"], (60, 1), 6_000_000, 1000),
        (&["--vbv", "2.25", "--gop", "10s"], (60, 1), 6_000_000, 2250),
        (&["--vbv", "3"], (60, 1), 6_000_000, 3000),
        (&["--vbv", "240", "--fps", "1", "--bitrate", "400M"], (1, 1), 400_000_000, 10_737),
    ] {
        let size = ["--stdout", "--no-pace", "--frames", "2", "--width", "320", "--height", "180"];
        let ended = Run::new(&[&size[..], options].concat()).finish();
        let report = &ended.assert_well().report;
        let buffer = report.count("asked.vbvBufferSize");
        let exact = (bps as f64 * rate.1 as f64 / rate.0 as f64 * milli as f64 / 1000.0).min(f64::from(u32::MAX));
        assert!((buffer as f64 - exact).abs() <= exact / 1e4 + 1.0, "{options:?}: {buffer} bits, not {exact}");
        asked(
            report,
            &[
                ("frameRateNum", rate.0),
                ("frameRateDen", rate.1),
                ("averageBitRate", bps),
                ("maxBitRate", bps),
                ("vbvInitialDelay", buffer),
                ("lowDelayKeyFrameScale", 3),
            ],
        );
    }
}

#[test]
fn for_an_idr_as_large_as_is_said() {
    for (scale, times) in [("1", 1), ("2", 2), ("4", 4)] {
        let options = ["--stdout", "--no-pace", "--frames", "2", "--width", "320", "--height", "180"];
        let ended = Run::new(&[&options[..], &["--idr-scale", scale]].concat()).finish();
        asked(&ended.assert_well().report, &[("lowDelayKeyFrameScale", times), ("tuningInfo", 2)]);
    }
}

#[test]
fn for_low_latency_unless_ultra_low_latency_is_said() {
    let options = ["--stdout", "--no-pace", "--frames", "2", "--width", "320", "--height", "180"];
    asked(&Run::new(&options).finish().assert_well().report, &[("tuningInfo", 2), ("lowDelayKeyFrameScale", 3)]);
}

#[test]
fn for_the_chips_own_buffer_where_it_takes_no_other_and_says_so() {
    let options = ["--stdout", "--no-pace", "--frames", "2", "--width", "320", "--height", "180"];
    let ended = Run::new(&options).env(&[("MB_SIM_CAPS", "SUPPORT_CUSTOM_VBV_BUF_SIZE=0")]).finish();
    asked(&ended.assert_well().report, &[("vbvBufferSize", 0), ("vbvInitialDelay", 0), ("rateControlMode", CBR)]);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.contains(" WARN ") && line.contains("sets its own rate buffer")),
        "{lines:?}"
    );
}

#[test]
fn for_a_variable_rate_with_the_same_limit_where_the_chip_has_no_constant_one_and_says_so() {
    let options = ["--stdout", "--no-pace", "--frames", "2", "--width", "320", "--height", "180"];
    let ended = Run::new(&options).env(&[("MB_SIM_CAPS", "SUPPORTED_RATECONTROL_MODES=1")]).finish();
    let (vbr, bps) = (1, 6_000_000);
    asked(&ended.assert_well().report, &[("rateControlMode", vbr), ("averageBitRate", bps), ("maxBitRate", bps)]);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(matches!(lines[..], [line] if line.contains(" WARN ") && line.contains("has no CBR")), "{lines:?}");
}

/// Drivers refuse to answer for single capabilities, and encode all the same.
#[test]
fn for_no_more_than_it_needs_to_know_of_the_chip() {
    let all = "WIDTH_MIN,HEIGHT_MIN,LEVEL_MAX,MB_PER_SEC_MAX,NUM_ENCODER_ENGINES";
    for refused in all.split(',').chain([all]) {
        for status in ["8", "12", "22"] {
            let caps: Vec<_> = refused.split(',').map(|name| format!("{name}=refused:{status}")).collect();
            let options = ["--stdout", "--no-pace", "--frames", "2", "--width", "320", "--height", "180"];
            let ended = Run::new(&options).env(&[("MB_SIM_CAPS", &caps.join(","))]).finish();
            asked(&ended.assert_well().report, &LIVE);
            assert_eq!((ended.stderr.as_str(), ended.report.count("pictures")), ("", 2), "{caps:?}");
        }
    }
}

/// What a chip calls its macroblocks a second is no promise of its speed.
#[test]
fn for_more_macroblocks_than_the_chip_names_without_a_word() {
    let options = ["--stdout", "--no-pace", "--frames", "1", "--width", "320", "--height", "180"];
    let ended = Run::new(&options).env(&[("MB_SIM_CAPS", "MB_PER_SEC_MAX=1000")]).finish();
    assert_eq!(ended.assert_well().stderr, "");
}

#[test]
fn for_an_idr_as_often_as_the_gop_says() {
    for (fps, gop, period) in [("24", None, 24), ("30000/1001", None, 30), ("60", Some("7"), 7), ("60", Some("1"), 1)] {
        let mut options = vec!["--stdout", "--no-pace", "--frames", "50", "--width", "160", "--height", "64"];
        options.extend(["--fps", fps]);
        options.extend(gop.iter().flat_map(|gop| ["--gop", gop]));
        let ended = Run::new(&options).finish();
        let report = &ended.assert_well().report;
        asked(report, &[("gopLength", period), ("idrPeriod", period)]);
        assert_eq!(report.count("idr_pictures"), 50_u64.div_ceil(period));
        assert_eq!(report.count("pictures"), 50);
        // In front of each IDR stand SPS and PPS, and nowhere else.
        let types: Vec<u8> = nals(&ended.stream).iter().map(|nal| nal.unit_type()).filter(|kind| *kind != 12).collect();
        let expected = (0..50).flat_map(|at| if at % period == 0 { &[7, 8, 5][..] } else { &[1] });
        assert_eq!(types, expected.copied().collect::<Vec<u8>>(), "{fps}, {gop:?}");
        assert_eq!((pictures(&ended.stream), ended.pictures(size(160, 64)).len()), (50, 50));
    }
}

#[test]
fn for_pictures_that_are_registered_once_and_mapped_and_unmapped_one_by_one() {
    let pictures = 23;
    let options = ["--stdout", "--no-pace", "--frames", "23", "--width", "320", "--height", "180"];
    let ended = Run::new(&options).finish();
    let report = &ended.assert_well().report;
    for (call, count) in [
        // Y, and Cb with Cr; then the encoder's input, and its output.
        ("cuGraphicsGLRegisterImage", 2),
        ("cuMemAllocPitch_v2", 1),
        ("NvEncRegisterResource", 1),
        ("NvEncCreateBitstreamBuffer", 1),
        ("NvEncOpenEncodeSessionEx", 1),
        ("NvEncInitializeEncoder", 1),
        ("cuGraphicsMapResources", pictures),
        ("cuGraphicsUnmapResources", pictures),
        ("cuGraphicsSubResourceGetMappedArray", 2 * pictures),
        ("NvEncMapInputResource", pictures),
        ("NvEncUnmapInputResource", pictures),
        ("NvEncLockBitstream", pictures),
        ("NvEncUnlockBitstream", pictures),
        // And the end of the stream.
        ("NvEncEncodePicture", pictures + 1),
        ("cuGraphicsUnregisterResource", 2),
        ("NvEncUnregisterResource", 1),
        ("NvEncDestroyBitstreamBuffer", 1),
        ("NvEncDestroyEncoder", 1),
        ("cuMemFree_v2", 1),
    ] {
        assert_eq!(report.count(&format!("call.{call}")), count, "{call} in {:?}", report.all("call."));
    }
}
