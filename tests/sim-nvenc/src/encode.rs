//! One picture to one access unit: which type it gets, which parameter sets go before it.
//!
//! Every picture is coded at once; a session never asks for more input. Rates are not controlled.

use crate::caller::{Fields, LEDGER, Struct};
use crate::config::{Config, INFINITE_GOP, Slices};
use crate::h264::slice::{self, Coded, Content, Header, PictureType};
use crate::h264::{nal, parameter_sets};
use crate::input::covers;
use crate::output::{CodedPicture, State};
use crate::picture::{Picture, Source};
use crate::session::{Session, initialised, session};
use crate::status::{
    GENERIC, INVALID_CALL, INVALID_PARAM, RESOURCE_NOT_MAPPED, Refusal, UNSUPPORTED_PARAM, broken, failed,
};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::{NV_ENC_INITIALIZE_PARAMS, NV_ENC_PIC_PARAMS, NV_ENC_SEQUENCE_PARAM_PAYLOAD};
use sim_ledger::setting;

const FORCE_INTRA: u32 = 1;
const FORCE_IDR: u32 = 2;
const OUTPUT_PARAMETER_SETS: u32 = 4;
const END_OF_STREAM: u32 = 8;

/// Where a session stands in its stream.
pub(crate) struct Progress {
    pictures: u32,
    since_idr: u32,
    since_intra: u32,
    idr_pic_id: u32,
    idr_is_next: bool,
    /// Nothing was coded behind the last end of the stream that the caller told of.
    ended: bool,
    /// What every access unit ends with.
    weight: Vec<u8>,
    /// The picture being coded, and the one before it. `None` where no pixels are moved.
    planes: Option<(Picture, Picture)>,
}

fn planes(config: &Config) -> Option<(Picture, Picture)> {
    let picture = || Picture::new(config.width, config.height);
    let encodes = !["null", "wait"].iter().any(|how| setting::is(setting::ENCODE, how));
    encodes.then(|| (picture(), picture()))
}

/// A NAL unit of `bytes` bytes, made once: the caller's time is measured, not this driver's.
fn weight(bytes: usize) -> Vec<u8> {
    let mut weight = Vec::new();
    if bytes > 0 {
        nal::append(&mut weight, 0, nal::UNSPECIFIED, &vec![0xFF; bytes]);
    }
    weight
}

/// The configuration, with other slices where this picture was ordered to have them.
fn with_ordered_slices(config: &Config, picture: u32) -> Config {
    let mut config = config.clone();
    if let Some(order) = setting::text(setting::SLICES) {
        let parse = || -> Option<(usize, u32)> {
            let (slices, at) = order.split_once('@')?;
            Some((slices.parse().ok()?, at.parse().ok()?))
        };
        let (slices, at) = parse().unwrap_or_else(|| panic!("{}={order}: expected 2@4", setting::SLICES));
        if at == picture {
            config.slices = Slices::Number(slices);
        }
    }
    config
}

impl Progress {
    pub(crate) fn new(config: &Config) -> Progress {
        Progress {
            pictures: 0,
            since_idr: 0,
            since_intra: 0,
            idr_pic_id: 1,
            idr_is_next: true,
            ended: true,
            weight: weight(setting::number(setting::PICTURE_BYTES, 0) as usize),
            planes: planes(config),
        }
    }

    /// The same place in the stream with pictures of another size.
    pub(crate) fn resized(&self, config: &Config) -> Progress {
        Progress { planes: planes(config), weight: self.weight.clone(), ..*self }
    }

    /// The caller says that no picture follows.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.next_is_idr();
    }

    /// As good as ended, with no bearing on the next picture.
    pub(crate) fn excuse(&mut self) {
        self.ended = true;
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn next_is_idr(&mut self) {
        self.idr_is_next = true;
    }

    /// The type of the next picture; `asked` is the caller's, which counts where it decides.
    fn kind(&self, config: &Config, flags: u32, asked: u32) -> Result<PictureType, Refusal> {
        let due = |since: u32, period: u32| period != INFINITE_GOP && since >= period;
        if self.idr_is_next {
            return Ok(PictureType::Idr);
        }
        if config.decides_types {
            return Ok(match () {
                () if flags & FORCE_IDR != 0 || due(self.since_idr, config.idr_period) => PictureType::Idr,
                () if flags & FORCE_INTRA != 0 || due(self.since_intra, config.gop_length) => PictureType::I,
                () => PictureType::P,
            });
        }
        match asked {
            0 => Ok(PictureType::P),
            2 => Ok(PictureType::I),
            3 => Ok(PictureType::Idr),
            _ => Err(broken(UNSUPPORTED_PARAM, "picture-type")),
        }
    }

    fn advance(&mut self, kind: PictureType) {
        self.pictures = self.pictures.wrapping_add(1);
        self.ended = false;
        if kind == PictureType::Idr {
            (self.since_idr, self.since_intra, self.idr_is_next) = (0, 0, false);
        } else if kind == PictureType::I {
            self.since_intra = 0;
        }
        self.since_idr = self.since_idr.wrapping_add(1);
        self.since_intra = self.since_intra.wrapping_add(1);
        if let Some((now, before)) = &mut self.planes {
            std::mem::swap(now, before);
        }
    }
}

/// Writes one access unit to `stream`; the picture is in `progress` already.
fn code(stream: &mut Vec<u8>, config: &Config, progress: &mut Progress, kind: PictureType, with_sets: bool) -> Coded {
    stream.clear();
    let is_idr = kind == PictureType::Idr;
    if is_idr {
        // Two IDR pictures in a row must differ in this (7.4.3).
        progress.idr_pic_id ^= 1;
        progress.since_idr = 0;
    }
    if config.access_unit_delimiter {
        // primary_pic_type: 0 for I slices, 1 for I and P; then the trailing bits.
        let payload = if kind == PictureType::P { 0b0011_0000 } else { 0b0001_0000 };
        nal::append(stream, 0, nal::ACCESS_UNIT_DELIMITER, &[payload]);
    }
    let first = progress.pictures == 0;
    if with_sets || (is_idr && !config.no_parameter_sets && (first || config.repeat_parameter_sets)) {
        append_parameter_sets(stream, config);
    }
    if config.sei_asked {
        nal::append(stream, 0, nal::SEI, &placeholder_sei());
    }
    let header = Header { kind, frame_num: progress.since_idr, idr_pic_id: progress.idr_pic_id };
    let content = match &progress.planes {
        Some((now, before)) => {
            let total = u64::from(config.macroblocks());
            let coded = setting::number(setting::ROWS, total) * u64::from(config.width.div_ceil(16));
            Content::Picture { now, before, grey: total.saturating_sub(coded) as usize }
        }
        None => Content::Grey,
    };
    let coded = slice::append(stream, config, header, &content);
    stream.extend_from_slice(&progress.weight);
    if config.filler {
        let bits_per_picture = u64::from(config.average_bit_rate) * u64::from(config.frame_rate.1);
        let wanted = (bits_per_picture / u64::from(config.frame_rate.0) / 8) as usize;
        if wanted > stream.len() + 6 {
            let mut payload = vec![0xFF; wanted - stream.len() - 6];
            payload.push(0x80);
            nal::append(stream, 0, nal::FILLER, &payload);
        }
    }
    coded
}

fn append_parameter_sets(stream: &mut Vec<u8>, config: &Config) {
    nal::append(stream, 3, nal::SPS, &parameter_sets::sps(config));
    nal::append(stream, 3, nal::PPS, &parameter_sets::pps(config));
}

/// Stands where the vendor would write buffering-period, timing or other SEI: user data (payload
/// type 5) that says so.
fn placeholder_sei() -> Vec<u8> {
    let text = b"simulated-nvenc:an SEI was asked for";
    let mut payload = vec![5, text.len() as u8];
    payload.extend_from_slice(text);
    payload.push(0x80);
    payload
}

encoder_call! {
    fn NvEncEncodePicture(encoder; params: Struct<NV_ENC_PIC_PARAMS>) {
        let params = params.open(sdk::NV_ENC_PIC_PARAMS_VER)?;
        let mut sessions = session(encoder)?;
        let session = initialised(&mut sessions, encoder)?;
        let flags = params.word(at!(NV_ENC_PIC_PARAMS, encodePicFlags));
        if flags & END_OF_STREAM != 0 {
            if params.pointer(at!(NV_ENC_PIC_PARAMS, inputBuffer)) != 0 {
                return Err(broken(INVALID_PARAM, "end-of-stream-with-an-input"));
            }
            if let Some(progress) = &mut session.progress {
                progress.end();
            }
            return Ok(());
        }
        encode(session, &params, flags)
    }
}

fn encode(session: &mut Session, params: &Fields<'_, NV_ENC_PIC_PARAMS>, flags: u32) -> Result<(), Refusal> {
    macro_rules! word {
        ($field:ident) => {
            params.word(at!(NV_ENC_PIC_PARAMS, $field))
        };
    }
    let pictures = session.progress.as_ref().map_or(0, |progress| progress.pictures);
    let config = with_ordered_slices(session.config()?, pictures);
    let mapped = params.pointer(at!(NV_ENC_PIC_PARAMS, inputBuffer));
    let input = session.inputs.values().find(|input| mapped != 0 && input.mapped == Some(mapped));
    let input = input.ok_or(broken(RESOURCE_NOT_MAPPED, "input-not-mapped"))?;
    covers(&config, input.width, input.height)?;
    let buffer = params.pointer(at!(NV_ENC_PIC_PARAMS, outputBitstream));
    match session.outputs.get(&buffer).map(|output| output.state) {
        None => return Err(broken(INVALID_PARAM, "unknown-bitstream-buffer")),
        Some(State::Locked) => return Err(broken(INVALID_CALL, "output-locked")),
        Some(State::Coded { .. }) => return Err(broken(INVALID_CALL, "output-not-fetched")),
        Some(State::Empty | State::LockFailed) => {}
    }
    if (word!(inputWidth), word!(inputHeight)) != (config.width, config.height) {
        return Err(broken(INVALID_PARAM, "picture-size"));
    }
    if word!(bufferFmt) != input.format {
        return Err(broken(INVALID_PARAM, "buffer-format"));
    }
    if word!(pictureStruct) != 1 {
        return Err(broken(INVALID_PARAM, "picture-struct-not-frame"));
    }
    if flags & FORCE_IDR != 0 && !config.decides_types {
        return Err(broken(INVALID_PARAM, "force-idr-without-picture-type-decision"));
    }

    let source = Source::of(input)?;
    let cuda = session.cuda()?;
    if session.input_stream.is_some_and(|stream| !cuda.wait_for(stream)) {
        return Err(broken(GENERIC, "input-stream-gone"));
    }
    if setting::is(setting::ENCODE, "wait") && !cuda.wait_for(0) {
        return Err(broken(GENERIC, "default-stream-failed"));
    }
    let progress = session.progress.as_mut().ok_or(failed(GENERIC))?;
    let kind = progress.kind(&config, flags, word!(pictureType))?;
    if let Some((now, _)) = &mut progress.planes {
        if !now.fetch(&cuda, source) {
            return Err(broken(GENERIC, "input-not-readable"));
        }
    }
    drop(cuda);

    let index = progress.pictures;
    let output = session.outputs.get_mut(&buffer).ok_or(failed(GENERIC))?;
    let with_sets = flags & OUTPUT_PARAMETER_SETS != 0;
    let coded = code(&mut output.stream, &config, progress, kind, with_sets);
    progress.advance(kind);
    output.state = State::Coded { input: mapped };
    output.picture = CodedPicture {
        kind,
        index,
        timestamp: params.long(at!(NV_ENC_PIC_PARAMS, inputTimeStamp)),
        duration: params.long(at!(NV_ENC_PIC_PARAMS, inputDuration)),
        coded,
    };
    LEDGER.count("pictures", 1);
    if kind == PictureType::Idr {
        LEDGER.count("idr_pictures", 1);
    }
    Ok(())
}

fn sequence(config: &Config, payload: &Fields<'_, NV_ENC_SEQUENCE_PARAM_PAYLOAD>) -> Result<(), Refusal> {
    let mut stream = Vec::new();
    append_parameter_sets(&mut stream, config);
    let capacity = payload.word(at!(NV_ENC_SEQUENCE_PARAM_PAYLOAD, inBufferSize)) as usize;
    payload.fill_behind(at!(NV_ENC_SEQUENCE_PARAM_PAYLOAD, spsppsBuffer), capacity, &stream)?;
    let size = (stream.len() as u32).to_ne_bytes();
    payload.fill_behind(at!(NV_ENC_SEQUENCE_PARAM_PAYLOAD, outSPSPPSPayloadSize), size.len(), &size)
}

encoder_call! {
    fn NvEncGetSequenceParams(encoder; payload: Struct<NV_ENC_SEQUENCE_PARAM_PAYLOAD>) {
        let payload = payload.open(sdk::NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER)?;
        let mut sessions = session(encoder)?;
        sequence(initialised(&mut sessions, encoder)?.config()?, &payload)
    }
}

encoder_call! {
    fn NvEncGetSequenceParamEx(
        encoder;
        init: Struct<NV_ENC_INITIALIZE_PARAMS>,
        payload: Struct<NV_ENC_SEQUENCE_PARAM_PAYLOAD>,
    ) {
        let payload = payload.open(sdk::NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER)?;
        let _sessions = session(encoder)?;
        sequence(&Config::read(&init.open(sdk::NV_ENC_INITIALIZE_PARAMS_VER)?)?, &payload)
    }
}
