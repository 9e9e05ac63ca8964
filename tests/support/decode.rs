//! Pictures as ffmpeg decodes them: a reference that knows nothing of how they were coded.

use super::parts;
use super::process::{Process, Reader};
use mb_encode::parts::{Mark, Strip};
use mb_encode::settings::Size;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

/// Where ffmpeg reads the stream.
pub enum Source<'a> {
    /// An RTSP address, over TCP.
    Rtsp(&'a str),
    /// An address of HTTP, and the format of what is there by ffmpeg's name.
    Http(&'a str, &'a str),
    /// A file of H.264 in Annex B.
    File(&'a Path),
    /// A file of MPEG-TS.
    MpegTs(&'a Path),
    /// A file of whatever it begins like.
    Any(&'a Path),
    /// H.264 in Annex B.
    Bytes(Vec<u8>),
}

/// How a picture lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The luma plane and both chroma planes, each a quarter of it, as they were coded.
    Yuv420p,
    /// Red, green and blue as one byte each, from BT.709 in limited range.
    Rgb24,
}

/// One picture, the top row first.
pub struct Picture {
    pub size: Size,
    pub bytes: Vec<u8>,
}

impl Picture {
    /// One byte a pixel. Only of [`Form::Yuv420p`].
    pub fn luma(&self) -> &[u8] {
        &self.bytes[..self.size.pixels()]
    }

    /// What the strip says.
    pub fn mark(&self) -> Option<Mark> {
        Strip::new(self.size).read(self.luma(), self.size.width() as usize)
    }

    /// Red, green and blue at `(x, y)`, counted from the top left. Only of [`Form::Rgb24`].
    pub fn rgb(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y as usize * self.size.width() as usize + x as usize) * 3;
        [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2]]
    }
}

/// A running ffmpeg, as an iterator over the pictures that it decodes: none repeated, none left out.
pub struct Decoder {
    process: Process,
    pictures: Reader<ChildStdout>,
    size: Size,
    bytes_each: usize,
}

impl Decoder {
    /// Starts to decode. `limit` ends it after so many pictures, and with them the connection.
    pub fn start(source: Source<'_>, size: Size, form: Form, limit: Option<u32>) -> Self {
        let mut command = Command::new(parts::find("FFMPEG", "ffmpeg", &[], "apt-get install ffmpeg"));
        command.args(["-nostdin", "-v", "error"]);
        match &source {
            Source::Rtsp(address) => command.args(["-rtsp_transport", "tcp", "-i", address]),
            Source::Http(address, format) => command.args(["-f", format, "-i", address]),
            Source::File(path) => command.args(["-f", "h264", "-i"]).arg(path),
            Source::MpegTs(path) => command.args(["-f", "mpegts", "-i"]).arg(path),
            Source::Any(path) => command.arg("-i").arg(path),
            Source::Bytes(_) => command.args(["-f", "h264", "-i", "pipe:0"]),
        };
        if let Some(limit) = limit {
            command.args(["-frames:v", &limit.to_string()]);
        }
        // Pictures are numbered instead of timed: go2rtc times them by their arrival, and two that come in one burst
        // would be a complaint about the raw video that is written here, which has no times.
        let (filters, bytes_each) = match form {
            Form::Yuv420p => ("setpts=N,format=yuv420p".to_owned(), size.pixels() * 3 / 2),
            Form::Rgb24 => {
                // Said in full, so that the result does not hang on what ffmpeg makes of the stream's own words.
                let scale = "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:\
                             flags=accurate_rnd+full_chroma_int+full_chroma_inp";
                (format!("setpts=N,{scale},format=rgb24"), size.pixels() * 3)
            }
        };
        command.args(["-vf", &filters, "-enc_time_base", "-1"]);
        command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]).stdout(Stdio::piped());
        command.stdin(if matches!(source, Source::Bytes(_)) { Stdio::piped() } else { Stdio::null() });

        let mut process = Process::start(&mut command);
        if let Source::Bytes(bytes) = source {
            let mut stdin = process.stdin();
            // A decoder that wants no more is not this thread's concern: what it printed tells.
            std::thread::spawn(move || stdin.write_all(&bytes));
        }
        let pictures = process.stdout();
        Self { process, pictures, size, bytes_each }
    }

    /// The next `count` pictures.
    pub fn take_pictures(&mut self, count: usize) -> Vec<Picture> {
        let pictures: Vec<_> = self.by_ref().take(count).collect();
        assert_eq!(pictures.len(), count, "pictures decoded; ffmpeg says: {:?}", self.process.lines());
        pictures
    }

    /// What the strips of the next `count` pictures say.
    pub fn take_marks(&mut self, count: usize) -> Vec<Mark> {
        self.take_pictures(count)
            .iter()
            .enumerate()
            .map(|(at, picture)| picture.mark().unwrap_or_else(|| panic!("no strip in picture {at} of {}", self.size)))
            .collect()
    }

    /// Waits for the end, which must come without one word of complaint.
    pub fn finish(mut self) {
        let rest = self.by_ref().count();
        assert_eq!(rest, 0, "pictures that nobody asked for");
        let ended = self.process.wait();
        assert!(ended.status.success() && ended.stderr.is_empty(), "ffmpeg: {:?}\n{}", ended.status, ended.stderr);
    }
}

impl Iterator for Decoder {
    type Item = Picture;

    fn next(&mut self) -> Option<Picture> {
        let mut bytes = Vec::with_capacity(self.bytes_each);
        let read = self.pictures.by_ref().take(self.bytes_each as u64).read_to_end(&mut bytes);
        if let Err(error) = read {
            panic!("no picture from ffmpeg: {error}; it says: {:?}", self.process.lines());
        }
        assert!(bytes.is_empty() || bytes.len() == self.bytes_each, "half a picture of {} bytes", bytes.len());
        (!bytes.is_empty()).then_some(Picture { size: self.size, bytes })
    }
}

/// What the strips of all pictures of `stream` say, which is H.264 in Annex B: `None` where one cannot be read.
pub fn marks(stream: &[u8], (width, height): (u32, u32)) -> Vec<Option<Mark>> {
    let size = Size::new(width, height).expect("a legal size");
    let mut decoder = Decoder::start(Source::Bytes(stream.to_vec()), size, Form::Yuv420p, None);
    let marks = decoder.by_ref().map(|picture| picture.mark()).collect();
    decoder.finish();
    marks
}

/// As [`marks`], where every strip is to be read.
pub fn all_marks(stream: &[u8], size: (u32, u32)) -> Vec<Mark> {
    let marks = marks(stream, size);
    let unread: Vec<usize> = (0..marks.len()).filter(|&at| marks[at].is_none()).collect();
    assert!(unread.is_empty(), "of {} pictures, the strip cannot be read in {unread:?}", marks.len());
    marks.into_iter().flatten().collect()
}

/// Checks that the pictures carry the numbers from 0 on without a gap.
pub fn assert_frames_rise_by_one(marks: &[Mark]) {
    assert_eq!(marks.first().map(|mark| mark.frame), Some(0), "the first of {} pictures", marks.len());
    assert_no_gap(marks);
}

/// Checks that each picture was drawn right after the one before it, and that time does not run backwards.
pub fn assert_in_order(marks: &[Mark]) {
    assert_no_gap(marks);
    for pair in marks.windows(2) {
        assert!(pair[1].wall_clock_ms >= pair[0].wall_clock_ms, "the wall clock runs backwards: {pair:?}");
    }
    if let [first, .., last] = marks {
        assert!(last.wall_clock_ms > first.wall_clock_ms, "the wall clock stands still: {first:?} to {last:?}");
    }
}

fn assert_no_gap(marks: &[Mark]) {
    for pair in marks.windows(2) {
        assert_eq!(pair[1].frame, pair[0].frame + 1, "a picture is missing or comes twice: {pair:?}");
    }
}
