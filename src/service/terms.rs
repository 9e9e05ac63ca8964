//! How a worker goes about it, wherever its readers come from.

use crate::settings::{EncoderChoice, Limits, Spare, SpareIdle};

/// What its streams and their processes are held to.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub limits: Limits,
    pub encoder: EncoderChoice,
    /// Whether a process is kept ready for the next reader.
    pub spare: Spare,
    /// For how long, while nobody comes.
    pub spare_idle: SpareIdle,
}

impl Terms {
    /// Whether its rehearsal may take an encoder of the GPU.
    pub fn takes_turns(&self) -> bool {
        self.encoder != EncoderChoice::Openh264
    }
}
