//! What fuzzing tries on frames of other programs, up to where they are shown.

pub use super::unixfd::fuzz::messages;

use super::Wanted;
use super::intake::{Intake, Keep, Next};
use super::pipe::{Form, Pipe};
use crate::settings::InputSettings;
use rustix::pipe::{PipeFlags, pipe_with};

/// A pipe into which anything was written: what comes out are whole pictures.
pub fn frames(bytes: &[u8]) {
    // As much as a pipe holds whatever the system's limits are.
    let bytes = &bytes[..bytes.len().min(4096)];
    let (Ok((read, write)), Ok(intake)) = (pipe_with(PipeFlags::CLOEXEC), Intake::new(Keep::Latest)) else { return };
    // Small ones are shown larger.
    let intake = intake.for_stream(Wanted { width: Some(64), height: Some(64), frame_rate: None });
    assert_eq!(rustix::io::write(&write, bytes), Ok(bytes.len()));
    drop(write);
    let _ = Pipe::new(&read, &intake).read(&Form::Y4m(InputSettings::default()), &|| true);
    if let Ok(Next::Picture(picture)) = intake.take() {
        assert_eq!(Some(picture.samples.len()), picture.shape.bytes());
        assert!(picture.samples.len() <= bytes.len());
    }
}
