//! The options that say which pictures of other programs are shown.

use super::named::named;
use crate::error::Error;
use crate::service::input::Place;
use crate::settings::{ColorRange, InputSettings, Matrix, Named as _, PixelFormat, Shape};
use crate::source::input::Form;
use std::ffi::OsString;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Show the frames that come from here instead: a FIFO (made if missing), a file, - or unix:SOCKET
    #[arg(long, env = "MB_ENCODE_INPUT", hide_env_values = true, value_name = "PATH")]
    #[arg(conflicts_with_all = ["shader", "scene"])]
    input: Option<OsString>,

    /// Show the frames that this command writes to its standard output; it runs only while somebody watches
    #[arg(long, env = "MB_ENCODE_INPUT_COMMAND", hide_env_values = true, value_name = "COMMAND")]
    #[arg(conflicts_with_all = ["shader", "scene", "input"])]
    input_command: Option<String>,

    /// The frames have no header and are of this format, and --width times --height [default: YUV4MPEG2]
    #[arg(long, env = "MB_ENCODE_INPUT_FORMAT", hide_env_values = true, value_name = "FORMAT")]
    #[arg(value_parser = named::<PixelFormat>())]
    input_format: Option<PixelFormat>,

    /// Matrix of luma and chroma in the frames [default: bt709]
    #[arg(long, env = "MB_ENCODE_INPUT_MATRIX", hide_env_values = true, value_name = "MATRIX")]
    #[arg(value_parser = named::<Matrix>())]
    input_matrix: Option<Matrix>,

    /// Range of luma and chroma in the frames, where they do not tell [default: limited, of gray8 full]
    #[arg(long, env = "MB_ENCODE_INPUT_RANGE", hide_env_values = true, value_name = "RANGE")]
    #[arg(value_parser = named::<ColorRange>())]
    input_range: Option<ColorRange>,
}

/// Pictures from outside: where they come from, and what they are.
#[derive(Clone, Debug)]
pub struct Input {
    pub place: Place,
    pub form: Form,
}

impl Input {
    /// Checks that more than one process can read it.
    ///
    /// # Errors
    /// What one has read of it is gone for all.
    pub fn check_again(&self) -> Result<(), Error> {
        match self.place.is_read_once() {
            true => Err(Error::input(
                "input-once",
                format!("{} can be read only once, and --fifo and --listen serve many", self.place),
                "",
            )),
            false => Ok(()),
        }
    }
}

impl InputArgs {
    /// The input, if there is one, for a stream of this size in pixels, as far as it was given. One that is read `again` is
    /// opened by each reader's process.
    ///
    /// # Errors
    /// The options do not go together.
    pub fn input(&self, size: (Option<u32>, Option<u32>), again: bool) -> Result<Option<Input>, Error> {
        let place = match (&self.input, &self.input_command) {
            (Some(input), _) => Place::of(input),
            (None, Some(command)) => Place::Command(command.clone()),
            (None, None) => return self.none(),
        };
        if let (Place::UnixFd(_), Some(format)) = (&place, self.input_format) {
            return Err(Error::input(
                "input-tells",
                format!("--input-format {} is not for unix:, whose frames say what they are", format.name()),
                "",
            ));
        }
        let matrix = self.input_matrix.unwrap_or_default();
        let range = self.input_range;
        let form = match (self.input_format, size) {
            (None, _) => Form::Y4m(InputSettings { matrix, range }),
            (Some(format), (Some(width), Some(height))) => {
                let range = range.unwrap_or(format.usual_range());
                Form::Raw(Shape { width, height, format, matrix, range })
            }
            (Some(format), _) => {
                return Err(Error::input(
                    "input-size",
                    format!("frames of --input-format {} do not say how large they are", format.name()),
                    "",
                ));
            }
        };
        let input = Input { place, form };
        if again {
            input.check_again()?;
        }
        Ok(Some(input))
    }

    fn none(&self) -> Result<Option<Input>, Error> {
        let alone = [
            ("--input-format", self.input_format.is_some()),
            ("--input-matrix", self.input_matrix.is_some()),
            ("--input-range", self.input_range.is_some()),
        ];
        match alone.iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                Err(Error::input("input-missing", format!("{option} is for frames that come with --input"), ""))
            }
            None => Ok(None),
        }
    }
}
