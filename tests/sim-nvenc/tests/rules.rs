//! Every rule of the encoder API that a caller can break is refused with the vendor's status.

#[path = "../../support/rig/mod.rs"]
mod rig;
#[path = "../../support/sim.rs"]
mod sim;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use rig::host::Host;
use rig::live::{Live, picture};
use rig::nvenc::{Encoder, IYUV, Settings, create_instance};
use rig::process::scenes;
use rig::{cuda, process};
use sdk::{NV_ENC_CONFIG, NV_ENC_INITIALIZE_PARAMS, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, NV_ENC_PIC_PARAMS};
use std::mem::offset_of;

const SIZE: (u32, u32) = (160, 64);

fn opening() {
    assert_eq!(create_instance(0).0, 15, "list version");
    let context = cuda::start();
    let mut encoder = Encoder::without_session();
    let mut params = Encoder::open_params(context);
    macro_rules! open {
        ($field:ident = $wrong:expr) => {{
            let mut wrong = Encoder::open_params(context);
            wrong.put(offset_of!(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, $field), $wrong);
            encoder.open_with(&wrong)
        }};
    }
    assert_eq!(open!(version = 1), 15);
    assert_eq!(open!(apiVersion = 13), 15);
    assert_eq!(open!(deviceType = 2), 12, "an OpenGL device");
    assert_eq!(encoder.open_with(&Encoder::open_params(0)), 6);
    assert_eq!(encoder.open_with(&Encoder::open_params(0x1234)), 4, "not a context");
    assert_eq!(encoder.handle, 0);
    assert_eq!(encoder.guid_count(), (6, 0), "no session");
    encoder.handle = 0x4321;
    assert_eq!(encoder.guid_count(), (3, 0), "no such session");
    assert_eq!(encoder.open_with(params.put(0, sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER)), 0);
    assert_eq!(encoder.guid_count(), (0, 1));
    assert_eq!(encoder.caps(999).0, 8);
    assert_eq!(encoder.old_preset_config(), 8, "drivers from 591 on");
    assert_eq!(encoder.preset_config(0).0, 15, "the inner version counts too");
    assert_eq!(encoder.create_bitstream().0, 11, "before initialize");
    assert_eq!(encoder.register(context, 1, SIZE, 64).0, 11);
    assert_eq!(encoder.map(1).0, 11);
    assert_eq!(encoder.lock(1).0, 11);
    assert_eq!(encoder.sequence_params(64).0, 11);
    assert_eq!(encoder.encode(&Encoder::picture(SIZE, 1, 1, 0)), 11);
    assert_eq!(encoder.destroy(), 0);
    assert_eq!(encoder.destroy(), 3, "destroyed twice");
}

#[test]
fn nothing_goes_before_a_session_is_open_and_initialized() {
    scenes!(opening);
    let ended = process::run("opening", "opening", &[]);
    assert!(ended.assert_passed().report.count("violation.NvEncOpenEncodeSessionEx.struct-version") == 1);
}

fn initializing() {
    let context = cuda::start();
    let encoder = Encoder::open(context).expect("a session");
    let init = |field: usize, value: u32| {
        let mut settings = Settings::live(&encoder, SIZE);
        settings.init.put(field, value);
        encoder.initialize(&settings.init)
    };
    macro_rules! init {
        ($field:ident = $wrong:expr) => {
            init(offset_of!(NV_ENC_INITIALIZE_PARAMS, $field), $wrong)
        };
    }
    assert_eq!(init!(version = 0), 15);
    assert_eq!(init!(encodeWidth = 0), 8);
    assert_eq!(init!(encodeWidth = 8192), 8);
    assert_eq!(init!(encodeWidth = 144), 8);
    assert_eq!(init!(encodeHeight = 48), 8);
    assert_eq!(init!(encodeHeight = 65), 8);
    assert_eq!(init!(maxEncodeWidth = 32), 8);
    assert_eq!(init!(frameRateDen = 0), 8);
    assert_eq!(init!(tuningInfo = 0), 8);
    assert_eq!(init!(tuningInfo = 77), 8, "a number that is no tuning");
    assert_eq!(init!(presetGUID = 1), 8);
    assert_eq!(init!(encodeGUID = 1), 12);
    assert_eq!(init!(enableEncodeAsync = 1), 8);
    let config = |field: usize, value: u32| {
        let mut settings = Settings::live(&encoder, SIZE);
        settings.config.put(field, value);
        encoder.initialize(&settings.init)
    };
    macro_rules! config {
        ($($field:ident).+ = $wrong:expr) => { config(offset_of!(NV_ENC_CONFIG, $($field).+), $wrong) };
    }
    assert_eq!(config!(version = 1), 15);
    assert_eq!(config!(rcParams.version = 1), 15);
    assert_eq!(config!(profileGUID = 1), 12);
    assert_eq!(config!(frameIntervalP = 3), 8);
    assert_eq!(config!(frameFieldMode = 2), 8);
    assert_eq!(config!(rcParams.rateControlMode = 9), 12);
    assert_eq!(config!(rcParams.lookaheadDepth = 8), 12);
    assert_eq!(config!(encodeCodecConfig.h264Config.level = 43), 8);
    assert_eq!(config!(encodeCodecConfig.h264Config.chromaFormatIDC = 3), 8);
    let mut good = Settings::live(&encoder, SIZE);
    assert_eq!(encoder.initialize(&good.init), 0);
    assert_eq!(encoder.initialize(&good.init), 9, "initialized twice");
    assert_eq!(encoder.sequence_params(8).0, 14, "a buffer too small");
    let (status, sets) = encoder.sequence_params(256);
    assert_eq!((status, &sets[..5]), (0, &[0, 0, 0, 1, 0x67][..]));
    good.init.put(offset_of!(NV_ENC_INITIALIZE_PARAMS, enablePTD), 0);
    assert_eq!(encoder.reconfigure(&good.init, false, false), 8);
    assert_eq!(encoder.destroy(), 0);
}

#[test]
fn a_wrong_configuration_is_refused_field_by_field() {
    scenes!(initializing);
    process::run("initializing", "initializing", &[]).assert_passed();
}

fn registering() {
    let live = Live::start(SIZE, false, |_| {});
    let encoder = &live.encoder;
    let mut memory = 0;
    assert_eq!(cuda::cuMemAlloc_v2(&mut memory, 160 * 96), 0);
    assert_eq!(encoder.register(memory, 1, SIZE, 162).0, 8, "pitch not a multiple of 4");
    assert_eq!(encoder.register(memory, 1, SIZE, 156).0, 8, "pitch below width");
    assert_eq!(encoder.register(memory, 1, (160, 48), 160).0, 8, "smaller than the picture");
    assert_eq!(encoder.register(memory, 1, SIZE, 164).0, 23, "beyond the allocation");
    assert_eq!(encoder.register(memory + (1 << 40), 1, SIZE, 160).0, 23, "no device memory");
    assert_eq!(encoder.register(0, 1, SIZE, 160).0, 6);
    assert_eq!(encoder.register(memory, 3, SIZE, 160).0, 12, "an OpenGL texture");
    assert_eq!(encoder.register(memory, 9, SIZE, 160).0, 12, "a number that is no type");
    assert_eq!(encoder.register(live.input, 1, SIZE, live.pitch as u32).0, 23, "registered twice");
    let (status, registered) = encoder.register(memory, 1, SIZE, 160);
    assert_eq!(status, 0);
    assert_eq!(encoder.unregister(registered), 0);
    assert_eq!(encoder.unregister(registered), 24);

    let mut array = 0;
    let mut plain = cuda::ArrayDescriptor { width: 160, height: 96, depth: 0, format: 1, channels: 1, flags: 0 };
    for (flags, height, expected) in [(0, 96, 23), (2, 95, 23), (2, 96, 0)] {
        (plain.flags, plain.height) = (flags, height);
        assert_eq!(cuda::cuArray3DCreate_v2(&mut array, &plain), 0);
        let (status, registered) = encoder.register(array, 2, SIZE, 160);
        assert_eq!(status, expected, "flags {flags}, height {height}");
        if status == 0 {
            assert_eq!(encoder.unregister(registered), 0);
        }
        assert_eq!(cuda::cuArrayDestroy(array), 0);
    }
    assert_eq!(encoder.register(memory, 2, SIZE, 160).0, 23, "memory is no array");
    assert_eq!(encoder.register_as(IYUV, memory, 2, SIZE, 160).0, 12, "planes in an array");
    assert_eq!(encoder.register_as(IYUV, memory, 1, SIZE, 162).0, 8, "pitch not a multiple of 4");
    assert_eq!(encoder.register_as(IYUV, memory, 1, SIZE, 164).0, 23, "beyond the allocation");
    assert_eq!(encoder.register_as(0x1000, memory, 1, SIZE, 160).0, 12, "4:4:4");
    let (status, registered) = encoder.register_as(IYUV, memory, 1, SIZE, 160);
    assert_eq!((status, encoder.unregister(registered)), (0, 0));
    assert_eq!(cuda::cuMemFree_v2(memory), 0);
    live.end();
}

#[test]
fn only_fitting_device_memory_can_be_registered() {
    scenes!(registering);
    process::run("registering", "registering", &[]).assert_passed();
}

fn encoding() {
    let live = Live::start(SIZE, false, |_| {});
    let encoder = &live.encoder;
    live.draw(&picture(SIZE, 0));
    live.copy();
    assert_eq!(encoder.encode(&Encoder::picture(SIZE, 0, live.buffer, 0)), 25, "no input");
    assert_eq!(encoder.encode(&Encoder::picture(SIZE, live.registered, live.buffer, 0)), 25, "not mapped");
    assert_eq!(encoder.lock(live.buffer).0, 9, "lock before encode");
    assert_eq!(encoder.unlock(live.buffer), 9, "unlock before lock");
    assert_eq!(encoder.map(live.registered + 8).0, 24);
    assert_eq!(encoder.unmap(live.registered), 25);
    let (status, mapped) = encoder.map(live.registered);
    assert_eq!(status, 0);
    assert_eq!(encoder.map(live.registered).0, 16, "mapped twice");
    assert_eq!(encoder.unregister(live.registered), 9, "unregistered while mapped");
    let wrong = |field: usize, value: u32| {
        let mut wrong = Encoder::picture(SIZE, mapped, live.buffer, 0);
        wrong.put(field, value);
        encoder.encode(&wrong)
    };
    assert_eq!(wrong(0, 0), 15);
    assert_eq!(wrong(offset_of!(NV_ENC_PIC_PARAMS, inputWidth), 66), 8);
    assert_eq!(wrong(offset_of!(NV_ENC_PIC_PARAMS, bufferFmt), 0x100), 8);
    assert_eq!(wrong(offset_of!(NV_ENC_PIC_PARAMS, pictureStruct), 0), 8);
    assert_eq!(encoder.encode(&Encoder::picture(SIZE, mapped, 77, 0)), 8, "no such buffer");
    assert_eq!(encoder.encode(&Encoder::picture(SIZE, mapped, live.buffer, 8)), 8, "EOS with an input");
    assert_eq!(encoder.encode(&Encoder::picture(SIZE, mapped, live.buffer, 0)), 0);
    assert_eq!(encoder.encode(&Encoder::picture(SIZE, mapped, live.buffer, 0)), 9, "output not fetched");
    assert_eq!(encoder.lock(live.buffer + 8).0, 8);
    assert_eq!(encoder.lock(live.buffer).0, 0);
    assert_eq!(encoder.lock(live.buffer).0, 13, "locked twice");
    assert!(encoder.last_error().starts_with("NvEncLockBitstream"));
    assert_eq!(encoder.encode(&Encoder::picture(SIZE, mapped, live.buffer, 0)), 9, "output locked");
    assert_eq!(encoder.destroy_bitstream(live.buffer), 9, "destroyed while locked");
    assert_eq!(encoder.unlock(live.buffer), 0);
    assert_eq!(encoder.unmap(mapped), 0);
    assert_eq!(encoder.encode(&Encoder::picture(SIZE, 0, 0, 8)), 0, "EOS");
    assert_eq!(live.encode(0).expect("a picture").1, 3, "after EOS begins anew");
    live.end();
}

#[test]
fn a_picture_needs_its_input_mapped_and_its_output_fetched() {
    scenes!(encoding);
    process::run("encoding", "encoding", &[]).assert_passed();
}

fn planes() {
    for pitch in [160, 192, 256] {
        let host = Host::start(SIZE, pitch);
        host.upload(&vec![16; (SIZE.0 * SIZE.1 * 3 / 2) as usize]);
        let (_, mapped) = host.encoder.map(host.registered);
        let as_nv12 = Encoder::picture(SIZE, mapped, host.buffer, 0);
        assert_eq!(host.encoder.encode(&as_nv12), 8, "not what was registered");
        assert_eq!(host.encoder.unmap(mapped), 0);
        assert_eq!(host.encode(0).expect("a picture").1, 3);
        host.end();
    }
    for pitch in [164, 176] {
        let host = Host::start(SIZE, pitch);
        assert_eq!(host.encode(0).err(), Some(20), "rows of Cb and Cr {} bytes apart", pitch / 2);
        host.end();
    }
}

#[test]
fn planes_are_taken_for_planes_alone_and_in_rows_that_the_driver_can_read() {
    scenes!(planes);
    let ended = process::run("planes", "planes", &[]);
    let report = &ended.assert_passed().report;
    assert_eq!(report.count("violation.NvEncEncodePicture.buffer-format"), 3);
    assert_eq!(report.count("violation.NvEncEncodePicture.rows-of-a-plane-not-aligned"), 2);
    assert!(report.all("live.").is_empty() && report.all("leak.").is_empty());
}

fn types_given() {
    let live = Live::start(SIZE, false, |settings| {
        settings.init.put(offset_of!(NV_ENC_INITIALIZE_PARAMS, enablePTD), 0);
    });
    let coded = |kind: u32, flags: u32| {
        let (_, mapped) = live.encoder.map(live.registered);
        let mut params = Encoder::picture(SIZE, mapped, live.buffer, flags);
        params.put(offset_of!(NV_ENC_PIC_PARAMS, pictureType), kind);
        let status = live.encoder.encode(&params);
        let coded = if status == 0 {
            let (_, _, coded) = live.encoder.lock(live.buffer);
            assert_eq!(live.encoder.unlock(live.buffer), 0);
            Ok(coded)
        } else {
            Err(status)
        };
        assert_eq!(live.encoder.unmap(mapped), 0);
        coded
    };
    live.draw(&picture(SIZE, 0));
    live.copy();
    let kinds = [coded(0, 0), coded(0, 0), coded(3, 0), coded(2, 0), coded(1, 0), coded(0, 2)];
    assert_eq!(kinds, [Ok(3), Ok(0), Ok(3), Ok(2), Err(12), Err(8)], "FORCEIDR only with PTD");
    live.end();
}

#[test]
fn without_type_decision_the_caller_gives_the_types() {
    scenes!(types_given);
    process::run("types_given", "types", &[]).assert_passed();
}
