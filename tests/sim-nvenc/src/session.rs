//! Sessions: opened on a CUDA context, initialised once, reconfigured, destroyed.
//!
//! A session that lost its device (an ordered fault) refuses everything but releasing. What was not
//! released before `NvEncDestroyEncoder` is booked as leaked. Nothing here knows H.264.

use crate::asked;
use crate::caller::{LEDGER, Out, Struct};
use crate::config::Config;
use crate::cuda::{Cuda, Unusable};
use crate::encode::Progress;
use crate::input::Input;
use crate::output::{Output, State};
use crate::slot::Slot;
use crate::status::{
    Answer, DEVICE_NOT_EXIST, ENCODER_NOT_INITIALIZED, GENERIC, INVALID_CALL, INVALID_DEVICE, INVALID_ENCODERDEVICE,
    INVALID_PTR, INVALID_VERSION, NO_ENCODE_DEVICE, Refusal, UNSUPPORTED_PARAM, broken, failed,
};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::{NV_ENC_INITIALIZE_PARAMS, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, NV_ENC_RECONFIGURE_PARAMS};
use sim_ledger::setting;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Mutex, MutexGuard, PoisonError};

const CUDA_DEVICE: u32 = 1;

pub(crate) struct Session {
    context: usize,
    _slot: Option<Slot>,
    config: Option<Config>,
    pub(crate) progress: Option<Progress>,
    /// By handle.
    pub(crate) inputs: BTreeMap<usize, Input>,
    pub(crate) outputs: BTreeMap<usize, Output>,
    /// The stream that the caller writes its inputs in, if it said so.
    pub(crate) input_stream: Option<usize>,
    /// The status of an ordered fault after which the device is gone.
    lost: Option<u32>,
    last_error: CString,
    last_handle: usize,
}

/// Every open session, by handle. A handle is a number that was never an address and never comes
/// again, so that it also names the session's life.
pub(crate) struct Sessions {
    open: BTreeMap<usize, Session>,
    last_handle: usize,
}

static SESSIONS: Mutex<Sessions> = Mutex::new(Sessions { open: BTreeMap::new(), last_handle: 0x7_6100_0000 });

fn lock() -> MutexGuard<'static, Sessions> {
    SESSIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table, if the handle names a session in it.
pub(crate) fn session(encoder: usize) -> Result<MutexGuard<'static, Sessions>, Refusal> {
    let sessions = lock();
    match sessions.open.contains_key(&encoder) {
        true => Ok(sessions),
        false if encoder == 0 => Err(broken(INVALID_PTR, "null-encoder")),
        false => Err(broken(INVALID_ENCODERDEVICE, "unknown-encoder")),
    }
}

/// The session, if it is initialised and still has its device.
pub(crate) fn initialised(sessions: &mut Sessions, encoder: usize) -> Result<&mut Session, Refusal> {
    let session = Session::of(sessions, encoder)?;
    session.present()?;
    match session.config {
        Some(_) => Ok(session),
        None => Err(broken(ENCODER_NOT_INITIALIZED, "before-initialize")),
    }
}

impl Session {
    pub(crate) fn of(sessions: &mut Sessions, encoder: usize) -> Result<&mut Session, Refusal> {
        sessions.open.get_mut(&encoder).ok_or(broken(INVALID_ENCODERDEVICE, "unknown-encoder"))
    }

    /// Refuses when the device was lost.
    pub(crate) fn present(&self) -> Answer {
        self.lost.map_or(Ok(()), |status| Err(failed(status)))
    }

    pub(crate) fn config(&self) -> Result<&Config, Refusal> {
        self.config.as_ref().ok_or(broken(ENCODER_NOT_INITIALIZED, "before-initialize"))
    }

    pub(crate) fn new_handle(&mut self) -> usize {
        self.last_handle += 0x10;
        self.last_handle
    }

    /// The CUDA driver with this session's context current.
    pub(crate) fn cuda(&self) -> Result<Cuda, Refusal> {
        Cuda::with(self.context).map_err(|unusable| match unusable {
            Unusable::NoLibrary => failed(GENERIC),
            Unusable::BadContext => broken(DEVICE_NOT_EXIST, "context-gone"),
        })
    }
}

impl Sessions {
    fn live(&self) -> [(&'static str, u64); 5] {
        let sum = |count: fn(&Session) -> usize| self.open.values().map(count).sum::<usize>() as u64;
        [
            ("sessions", self.open.len() as u64),
            ("registered_resources", sum(|session| session.inputs.len())),
            ("mapped_inputs", sum(mapped_inputs)),
            ("bitstream_buffers", sum(|session| session.outputs.len())),
            ("locked_bitstreams", sum(locked_bitstreams)),
        ]
    }

    fn insert(&mut self, context: usize, slot: Option<Slot>) -> usize {
        self.last_handle += 0x1_0000;
        let handle = self.last_handle;
        self.open.insert(
            handle,
            Session {
                context,
                _slot: slot,
                config: None,
                progress: None,
                inputs: BTreeMap::new(),
                outputs: BTreeMap::new(),
                input_stream: None,
                lost: None,
                last_error: CString::default(),
                last_handle: handle,
            },
        );
        LEDGER.peak("peak.sessions", self.open.len() as u64);
        handle
    }
}

fn mapped_inputs(session: &Session) -> usize {
    session.inputs.values().filter(|input| input.mapped.is_some()).count()
}

fn locked_bitstreams(session: &Session) -> usize {
    session.outputs.values().filter(|output| output.state == State::Locked).count()
}

/// What an ordered fault does to a session: a status that means "the device is gone" stays.
pub(crate) fn fault(encoder: usize, function: &str, status: u32) {
    let mut sessions = lock();
    let Some(session) = sessions.open.get_mut(&encoder) else {
        return;
    };
    if function == "NvEncLockBitstream" {
        for output in session.outputs.values_mut() {
            if matches!(output.state, State::Coded { .. }) {
                output.state = State::LockFailed;
            }
        }
    }
    // A refused caller need not try to end the stream again, if that is what this call was for.
    if let (Some(progress), "NvEncEncodePicture") = (&mut session.progress, function) {
        progress.excuse();
    }
    let needs_device = matches!(
        function,
        "NvEncEncodePicture"
            | "NvEncLockBitstream"
            | "NvEncUnlockBitstream"
            | "NvEncMapInputResource"
            | "NvEncUnmapInputResource"
            | "NvEncRegisterResource"
    );
    if needs_device && matches!(status, INVALID_ENCODERDEVICE | INVALID_DEVICE | DEVICE_NOT_EXIST | GENERIC) {
        session.lost = Some(status);
    }
    session.last_error = CString::new(format!("{function}: EncodeAPI Internal Error.")).unwrap_or_default();
}

/// Remembers a refusal for `NvEncGetLastErrorString`.
pub(crate) fn remember_error(encoder: usize, function: &str, refusal: &Refusal) {
    if let Some(session) = lock().open.get_mut(&encoder) {
        let rule = if refusal.rule.is_empty() { "EncodeAPI Internal Error." } else { refusal.rule };
        session.last_error = CString::new(format!("{function}: {rule}")).unwrap_or_default();
    }
}

/// Opens a session. Faults ordered here are not those of any session's life.
///
/// # Safety
///
/// Both pointers are null or valid for the types that nvEncodeAPI.h documents for them.
#[allow(non_snake_case)]
pub(crate) unsafe extern "C" fn NvEncOpenEncodeSessionEx(
    params: Struct<NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>,
    encoder: Out<usize>,
) -> u32 {
    static CALL: sim_ledger::Call = sim_ledger::Call::new("NvEncOpenEncodeSessionEx");
    let fault = LEDGER.enter(&CALL).map_or(Ok(()), |status| Err(failed(status)));
    let opened = fault.and_then(|()| open(&params));
    let shown = match &opened {
        Ok(handle) => encoder.put(*handle),
        Err(_) if setting::is(setting::FAILED_OPEN_HANDLE, "1") => {
            let half_open = lock().insert(0, None);
            encoder.put(half_open)
        }
        Err(_) => encoder.put(0),
    };
    crate::caller::answer(&CALL, 0, shown.and(opened.map(|_| ())))
}

fn open(params: &Struct<NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>) -> Result<usize, Refusal> {
    let params = params.open(sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER)?;
    macro_rules! field {
        ($read:ident, $field:ident) => {
            params.$read(at!(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, $field))
        };
    }
    if field!(word, apiVersion) != sdk::NVENCAPI_VERSION {
        return Err(broken(INVALID_VERSION, "api-version"));
    }
    if field!(word, deviceType) != CUDA_DEVICE {
        return Err(broken(UNSUPPORTED_PARAM, "device-type-not-cuda"));
    }
    let context = field!(pointer, device);
    if context == 0 {
        return Err(broken(INVALID_PTR, "null-device"));
    }
    match Cuda::with(context) {
        Ok(cuda) => refuse(&cuda)?,
        Err(Unusable::NoLibrary) => return Err(failed(NO_ENCODE_DEVICE)),
        Err(Unusable::BadContext) => return Err(broken(INVALID_DEVICE, "not-a-cuda-context")),
    }
    let mut sessions = lock();
    let slot = Slot::take(sessions.open.len())?;
    Ok(sessions.insert(context, Some(slot)))
}

/// Refuses on a GPU that is to have no encoder.
fn refuse(cuda: &Cuda) -> Answer {
    let Some(refusing) = setting::text(setting::REFUSING_DEVICES) else { return Ok(()) };
    let here = cuda.gpu().expect("the context's GPU").to_string();
    let entries = refusing.split(',').map(|entry| {
        let entry = entry.trim().split_once(':').and_then(|(gpu, status)| Some((gpu, status.parse::<u32>().ok()?)));
        entry.unwrap_or_else(|| panic!("{}={refusing}: expected 0:2,1:1", setting::REFUSING_DEVICES))
    });
    entries.into_iter().find(|(gpu, _)| *gpu == here).map_or(Ok(()), |(_, status)| Err(failed(status)))
}

encoder_call! {
    fn NvEncInitializeEncoder(encoder; params: Struct<NV_ENC_INITIALIZE_PARAMS>) {
        let params = params.open(sdk::NV_ENC_INITIALIZE_PARAMS_VER)?;
        let mut sessions = session(encoder)?;
        let session = Session::of(&mut sessions, encoder)?;
        session.present()?;
        if session.config.is_some() {
            return Err(broken(INVALID_CALL, "initialized-twice"));
        }
        let config = Config::read(&params)?;
        asked::note(&params, &config);
        session.progress = Some(Progress::new(&config));
        session.config = Some(config);
        Ok(())
    }
}

encoder_call! {
    fn NvEncReconfigureEncoder(encoder; params: Struct<NV_ENC_RECONFIGURE_PARAMS>) {
        let params = params.open(sdk::NV_ENC_RECONFIGURE_PARAMS_VER)?;
        let mut sessions = session(encoder)?;
        let session = initialised(&mut sessions, encoder)?;
        let init = params.inner::<NV_ENC_INITIALIZE_PARAMS>(at!(NV_ENC_RECONFIGURE_PARAMS, reInitEncodeParams));
        init.expect_version(sdk::NV_ENC_INITIALIZE_PARAMS_VER)?;
        let mut next = Config::read(&init)?;
        let config = session.config()?;
        config.allows(&next)?;
        (next.max_width, next.max_height) = (config.max_width, config.max_height);
        let flag = |bit| params.bit(at!(NV_ENC_RECONFIGURE_PARAMS, _bitfield_1), bit);
        let (reset_encoder, force_idr) = (flag(0), flag(1));
        let resized = (next.width, next.height) != (config.width, config.height);
        if let Some(progress) = &mut session.progress {
            if resized {
                *progress = progress.resized(&next);
            }
            // Both bits are valid only where the encoder decides on the types.
            if resized || (next.decides_types && (reset_encoder || force_idr)) {
                progress.next_is_idr();
            }
        }
        session.config = Some(next);
        Ok(())
    }
}

encoder_call! {
    fn NvEncSetIOCudaStreams(encoder; input: crate::caller::Out<usize>, output: crate::caller::Out<usize>) {
        let mut sessions = session(encoder)?;
        let session = initialised(&mut sessions, encoder)?;
        let _ = output.get()?;
        session.input_stream = Some(input.get()?);
        Ok(())
    }
}

encoder_call! {
    fn NvEncDestroyEncoder(encoder;) {
        let mut sessions = session(encoder)?;
        let mut ended = sessions.open.remove(&encoder);
        if let Some(session) = &mut ended {
            let left = [
                ("registered_resources", session.inputs.len()),
                ("mapped_inputs", mapped_inputs(session)),
                ("bitstream_buffers", session.outputs.len()),
                ("locked_bitstreams", locked_bitstreams(session)),
            ];
            for (kind, number) in left.into_iter().filter(|(_, number)| *number > 0) {
                LEDGER.count(&format!("leak.{kind}"), number as u64);
            }
            if session.lost.is_none() && session.progress.as_ref().is_some_and(|progress| !progress.is_ended()) {
                LEDGER.violation(&CALL, "stream-not-ended");
            }
        }
        LEDGER.write("session", &sessions.live());
        Ok(())
    }
}

/// The text of the session's last refusal, good until its next one.
///
/// # Safety
///
/// Any number is a valid `encoder`; the caller reads the text before the session's next call.
#[allow(non_snake_case)]
pub(crate) unsafe extern "C" fn NvEncGetLastErrorString(encoder: usize) -> *const std::ffi::c_char {
    static CALL: sim_ledger::Call = sim_ledger::Call::new("NvEncGetLastErrorString");
    let _ = LEDGER.enter(&CALL);
    let sessions = lock();
    let session = sessions.open.get(&encoder);
    session.map_or(c"".as_ptr(), |session| session.last_error.as_ptr())
}

/// Runs when the process ends or the library is unloaded.
extern "C" fn write_last_report() {
    LEDGER.write("exit", &lock().live());
}

// SAFETY: the loader calls each entry of `.fini_array` once, with no arguments that matter to a
// function without parameters, before this library's memory goes away.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = write_last_report;
