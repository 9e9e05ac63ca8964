//! What is said about a stream: what is wrong with it, and what it is waited for. Each at most once.

use crate::codec::{Cure, Foreign, HEAD, Splitter, recognise};
use crate::error::Error;
use std::time::{Duration, Instant};

/// For so long nothing is said about a stream without a picture.
const SILENCE: Duration = Duration::from_millis(1500);

/// Keeps what was said.
#[derive(Debug)]
pub struct Notices {
    /// Since when there is no picture of what has arrived, or nothing has arrived.
    since: Instant,
    /// How the stream begins, until its first picture.
    head: Vec<u8>,
    bytes: u64,
    has_pictures: bool,
    said_nothing: bool,
    said_what_is_missing: bool,
    said_torn: bool,
    said_b_pictures: bool,
    said_stray: bool,
    said_samples: bool,
    said_fields: bool,
}

impl Notices {
    /// From now on.
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
            head: Vec::new(),
            bytes: 0,
            has_pictures: false,
            said_nothing: false,
            said_what_is_missing: false,
            said_torn: false,
            said_b_pictures: false,
            said_stray: false,
            said_samples: false,
            said_fields: false,
        }
    }

    /// How long to wait before [`Notices::waited`] has something to say.
    pub fn silence(&self) -> Option<Duration> {
        let is_said = if self.bytes == 0 { self.said_nothing } else { self.said_what_is_missing };
        let silent = !self.has_pictures && !is_said;
        silent.then(|| SILENCE.saturating_sub(self.since.elapsed()))
    }

    /// Takes a piece of the stream, which `splitter` has not got yet.
    ///
    /// # Errors
    /// The stream is something else than H.264.
    pub fn arrived(&mut self, piece: &[u8]) -> Result<(), Error> {
        if self.bytes == 0 && self.said_nothing {
            self.since = Instant::now();
        }
        self.bytes += piece.len() as u64;
        if self.has_pictures || self.head.len() >= HEAD {
            return Ok(());
        }
        self.head.extend_from_slice(&piece[..piece.len().min(HEAD - self.head.len())]);
        recognise(&self.head).map_or(Ok(()), |foreign| Err(not_h264(foreign)))
    }

    /// Looks at what the splitter has found.
    ///
    /// # Errors
    /// The stream is something else than H.264.
    pub fn split(&mut self, splitter: &mut Splitter, patience: Duration) -> Result<(), Error> {
        if !self.has_pictures {
            splitter.stray().foreign().map_or(Ok(()), |foreign| Err(not_h264(foreign)))?;
        }
        if splitter.take_torn() && !std::mem::replace(&mut self.said_torn, true) {
            tracing::warn!(
                "the source paused within a frame, which was passed on without its end; from now on a frame ends \
                 with a pause of {} ms",
                patience.as_millis()
            );
        }
        if splitter.has_b_pictures() && !std::mem::replace(&mut self.said_b_pictures, true) {
            tracing::warn!(
                "there are B frames in the stream, which browsers do not play over WebRTC; leave them out: ffmpeg … -bf 0 \
                 [b-frames]"
            );
        }
        Ok(())
    }

    /// A picture is passed on: says what there was in front of the first one, and what browsers do not play.
    pub fn picture(&mut self, splitter: &Splitter) {
        let is_first = !std::mem::replace(&mut self.has_pictures, true);
        if is_first {
            self.head = Vec::new();
        }
        let stray = splitter.stray();
        if stray.is_any() && !std::mem::replace(&mut self.said_stray, true) {
            let pictures = stray.pictures;
            let bytes = format!("{} that belong to no frame", count(stray.bytes, "byte"));
            let frames = format!("{} that nobody could decode", count(pictures, "frame"));
            let what = match (stray.bytes, pictures) {
                (_, 0) => bytes,
                (0, _) => frames,
                _ => format!("{bytes} and {frames}"),
            };
            let whence = match (stray.text > 0, pictures) {
                (true, _) => "; there is text among them, which gst-launch-1.0 prints without -q",
                (false, 0) => "",
                (false, _) if is_first => ": the stream was joined in its middle",
                _ => ": their parameter sets are missing",
            };
            let what = format!("{what}{whence}");
            tracing::warn!("passed over {what} [stream-start]");
        }
        let Some(sps) = splitter.sps() else { return };
        if !sps.is_plain && !std::mem::replace(&mut self.said_samples, true) {
            tracing::warn!(
                "the stream is {}, and browsers play 8-bit 4:2:0 alone; have it encoded so: ffmpeg … -pix_fmt yuv420p \
                 [browser-format]",
                sps.samples
            );
        }
        if sps.interlaced && !std::mem::replace(&mut self.said_fields, true) {
            tracing::warn!(
                "the stream is interlaced, which browsers show with combs or not at all; have it encoded without: \
                 ffmpeg … -vf yadif [browser-format]"
            );
        }
    }

    /// No picture has come for a while: says what is missing.
    pub fn waited(&mut self, splitter: &Splitter) {
        if self.bytes == 0 {
            self.said_nothing = true;
            tracing::warn!("nothing has arrived yet; waiting for H.264 [stream-start]");
            return;
        }
        self.said_what_is_missing = true;
        let stray = splitter.stray();
        if stray.units == 0 && stray.bytes > 0 && stray.text == stray.bytes {
            tracing::warn!(
                "{} bytes of text have arrived and no H.264 yet; gst-launch-1.0 prints them without -q [stream-start]",
                self.bytes
            );
        } else if stray.units == 0 && splitter.held() == 0 {
            tracing::warn!(
                "{} bytes have arrived and no start code among them, so this is no H.264 byte stream; it starts with \
                 {} [stream-start]",
                self.bytes,
                self.start_of_it()
            );
        } else if stray.pictures > 0 {
            tracing::warn!(
                "nobody can decode the {} so far, for no parameter sets (SPS, PPS) came with them; have the source \
                 repeat them: repeat-headers=1 of x264, config-interval=-1 of h264parse, inline of rpicam-vid \
                 [stream-start]",
                count(stray.pictures, "frame")
            );
        } else {
            tracing::warn!(
                "{} bytes have arrived and no whole H.264 frame among them; waiting for one [stream-start]",
                self.bytes
            );
        }
    }

    /// The stream has ended without a picture.
    pub fn no_picture(&self, splitter: &Splitter) -> Error {
        let stray = splitter.stray();
        if stray.pictures > 0 {
            let frames = count(stray.pictures, "frame");
            no_h264(&format!("{frames} and no parameter sets (SPS, PPS), so nobody can decode it"))
        } else if stray.units > 0 || splitter.held() > 0 {
            no_h264("there was no picture in it")
        } else {
            no_h264(&format!("it starts with {}", self.start_of_it()))
        }
    }

    fn start_of_it(&self) -> String {
        format!("{:02x?}", &self.head[..self.head.len().min(4)])
    }
}

fn count(number: u64, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

fn not_h264(foreign: Foreign) -> Error {
    let Foreign { name, cure } = foreign;
    let remedy = match cure {
        Cure::StartCodes => "have it written with start codes: ffmpeg … -f h264 -, gst-launch-1.0 -q … ! h264parse ! \
             video/x-h264,stream-format=byte-stream ! fdsink"
            .to_owned(),
        Cure::Unpack(format) => {
            format!("take the H.264 out of it: … | ffmpeg -f {format} -i - -an -c:v copy -f h264 - | mb-encode mpegts")
        }
        Cure::Encode(format) => format!(
            "have it encoded: … | ffmpeg -f {format} -i - -an -c:v libx264 -bf 0 -tune zerolatency -pix_fmt yuv420p \
             -f h264 - | mb-encode mpegts"
        ),
    };
    Error::input("stdin-not-h264", format!("standard input is not an H.264 byte stream: it is {name}"), remedy)
}

/// It is no H.264, as far as one can tell.
pub fn no_h264(why: &str) -> Error {
    Error::input(
        "stdin-not-h264",
        format!("standard input is not an H.264 byte stream: {why}"),
        "have it written so: ffmpeg … -f h264 -, gst-launch-1.0 -q … ! video/x-h264,stream-format=byte-stream ! fdsink",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_also_of_a_source_that_was_silent_at_first() {
        let (mut notices, splitter) = (Notices::new(), Splitter::default());
        assert!(notices.silence().is_some());
        notices.waited(&splitter);
        assert_eq!(notices.silence(), None, "nothing has arrived, and that is said");
        // A slice whose parameter sets nobody has seen.
        notices.arrived(&[0, 0, 0, 1, 0x41, 0x9a, 0x24, 0x6c]).unwrap();
        assert!(notices.silence() > Some(SILENCE / 2), "from its first byte on: {:?}", notices.silence());
        notices.waited(&splitter);
        assert_eq!(notices.silence(), None);
    }
}
