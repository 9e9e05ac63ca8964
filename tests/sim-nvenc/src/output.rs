//! Bitstream buffers: a coded picture lies in one until it was locked and unlocked.

use crate::caller::Struct;
use crate::h264::slice::{Coded, PictureType};
use crate::session::{Session, initialised, session};
use crate::status::{INVALID_CALL, INVALID_PARAM, LOCK_BUSY, Refusal, broken};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::{NV_ENC_CREATE_BITSTREAM_BUFFER, NV_ENC_LOCK_BITSTREAM};

#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) stream: Vec<u8>,
    pub(crate) state: State,
    pub(crate) picture: CodedPicture,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum State {
    #[default]
    Empty,
    /// Holds a picture whose lock was not tried yet, coded from this mapped input.
    Coded {
        input: usize,
    },
    /// Holds a picture whose lock failed.
    LockFailed,
    Locked,
}

/// What a lock tells about the picture beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodedPicture {
    pub(crate) kind: PictureType,
    pub(crate) index: u32,
    pub(crate) timestamp: u64,
    pub(crate) duration: u64,
    pub(crate) coded: Coded,
}

impl Default for CodedPicture {
    fn default() -> CodedPicture {
        CodedPicture { kind: PictureType::P, index: 0, timestamp: 0, duration: 0, coded: Coded::default() }
    }
}

impl Output {
    pub(crate) fn waits_for(&self, mapped_input: usize) -> bool {
        self.state == State::Coded { input: mapped_input }
    }
}

fn output(session: &mut Session, handle: usize) -> Result<&mut Output, Refusal> {
    session.outputs.get_mut(&handle).ok_or(broken(INVALID_PARAM, "unknown-bitstream-buffer"))
}

encoder_call! {
    fn NvEncCreateBitstreamBuffer(encoder; params: Struct<NV_ENC_CREATE_BITSTREAM_BUFFER>) {
        let params = params.open(sdk::NV_ENC_CREATE_BITSTREAM_BUFFER_VER)?;
        let mut sessions = session(encoder)?;
        let session = initialised(&mut sessions, encoder)?;
        let handle = session.new_handle();
        session.outputs.insert(handle, Output::default());
        params.put_pointer(at!(NV_ENC_CREATE_BITSTREAM_BUFFER, bitstreamBuffer), handle);
        Ok(())
    }
}

encoder_call! {
    fn NvEncDestroyBitstreamBuffer(encoder; buffer: usize) {
        let mut sessions = session(encoder)?;
        let session = Session::of(&mut sessions, encoder)?;
        if output(session, buffer)?.state == State::Locked {
            return Err(broken(INVALID_CALL, "destroyed-while-locked"));
        }
        session.outputs.remove(&buffer);
        Ok(())
    }
}

encoder_call! {
    fn NvEncLockBitstream(encoder; params: Struct<NV_ENC_LOCK_BITSTREAM>) {
        let params = params.open(sdk::NV_ENC_LOCK_BITSTREAM_VER)?;
        let mut sessions = session(encoder)?;
        let session = initialised(&mut sessions, encoder)?;
        let handle = params.pointer(at!(NV_ENC_LOCK_BITSTREAM, outputBitstream));
        let output = output(session, handle)?;
        match output.state {
            State::Empty => return Err(broken(INVALID_CALL, "locked-before-encode")),
            State::Locked => return Err(broken(LOCK_BUSY, "locked-twice")),
            State::Coded { .. } | State::LockFailed => output.state = State::Locked,
        }
        macro_rules! put {
            ($field:ident, $value:expr) => {
                params.put_word(at!(NV_ENC_LOCK_BITSTREAM, $field), $value)
            };
        }
        let picture = output.picture;
        put!(frameIdx, picture.index);
        put!(frameIdxDisplay, picture.index);
        put!(hwEncodeStatus, 2);
        put!(numSlices, picture.coded.slices);
        put!(bitstreamSizeInBytes, output.stream.len() as u32);
        put!(pictureType, match picture.kind { PictureType::P => 0, PictureType::I => 2, PictureType::Idr => 3 });
        put!(pictureStruct, 1);
        put!(frameAvgQP, 26);
        put!(intraMBCount, picture.coded.intra_macroblocks);
        put!(interMBCount, picture.coded.skipped_macroblocks);
        params.put_long(at!(NV_ENC_LOCK_BITSTREAM, outputTimeStamp), picture.timestamp);
        params.put_long(at!(NV_ENC_LOCK_BITSTREAM, outputDuration), picture.duration);
        params.put_pointer(at!(NV_ENC_LOCK_BITSTREAM, bitstreamBufferPtr), output.stream.as_ptr() as usize);
        Ok(())
    }
}

encoder_call! {
    fn NvEncUnlockBitstream(encoder; buffer: usize) {
        let mut sessions = session(encoder)?;
        let output = output(Session::of(&mut sessions, encoder)?, buffer)?;
        if output.state != State::Locked {
            return Err(broken(INVALID_CALL, "unlocked-but-not-locked"));
        }
        output.state = State::Empty;
        Ok(())
    }
}
