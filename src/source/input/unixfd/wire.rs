//! What goes over the socket of GStreamer's `unixfdsink`, from 1.24 on, as bytes and back. It does no I/O.
//!
//! Every message is a command and the length of its payload, two 32-bit numbers, and the payload. Numbers are the
//! machine's own, but those of a buffer's metadata are little-endian. The sink starts with CAPS, sends NEW_BUFFER with a
//! descriptor for each piece of memory, keeps the buffer until RELEASE_BUFFER comes back with its number, and may say EOS.

/// Bytes in front of each payload.
pub const HEADER: usize = 8;

/// A longer payload is none: a buffer with all that GStreamer says of it takes a few hundred bytes.
const LONGEST_PAYLOAD: usize = 1 << 20;

/// A `GstBuffer` has no more pieces of memory than that.
pub const MOST_PIECES: usize = 16;

const NEW_BUFFER: u32 = 0;
const RELEASE_BUFFER: u32 = 1;
const CAPS: u32 = 2;
const EOS: u32 = 3;

/// What a producer did that no `unixfdsink` does, to go behind "the producer".
#[derive(Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl From<&str> for Broken {
    fn from(what: &str) -> Self {
        Self(what.to_owned())
    }
}

/// The start of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    command: u32,
    /// Bytes that follow.
    pub payload: usize,
}

/// What the sink says.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// How the buffers that follow are to be understood.
    Caps(String),
    Buffer(Buffer),
    EndOfStream,
    /// A command of a later version, which may be passed over.
    Unknown(u32),
}

/// A buffer that waits to be released. Its memory comes as descriptors, beside the bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Buffer {
    /// What releases it.
    pub id: u64,
    pub kind: MemoryKind,
    /// One for each descriptor. Together, in this order, they are the buffer's bytes.
    pub pieces: Vec<Piece>,
    /// Where its planes lie, if that is not where [`super::layout`] has them.
    pub planes: Option<Vec<Plane>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Of memfd_create or the like.
    Ordinary,
    DmaBuf,
}

/// A part of the memory of one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub offset: u64,
    pub len: u64,
}

/// A plane of `GstVideoMeta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// From the start of the buffer's bytes.
    pub offset: u64,
    /// Bytes from one row to the next; negative for rows from the lowest one up.
    pub stride: i32,
}

impl Header {
    /// Reads one.
    ///
    /// # Errors
    /// Its payload is longer than any.
    pub fn parse([a, b, c, d, e, f, g, h]: [u8; HEADER]) -> Result<Self, Broken> {
        let (command, payload) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        match payload as usize {
            payload @ ..=LONGEST_PAYLOAD => Ok(Self { command, payload }),
            payload => Err(Broken(format!("announced a message of {payload} bytes, so it speaks another protocol"))),
        }
    }
}

impl Message {
    /// Reads the payload behind `header`.
    ///
    /// # Errors
    /// It is not one of this command.
    pub fn parse(header: Header, payload: &[u8]) -> Result<Self, Broken> {
        match header.command {
            NEW_BUFFER => Buffer::parse(payload).map(Self::Buffer),
            RELEASE_BUFFER => Err("released a frame, which is for who receives them".into()),
            CAPS => {
                let text = payload.split(|byte| *byte == 0).next().filter(|text| text.len() < payload.len());
                let text = text.ok_or("sent caps without an end")?;
                Ok(Self::Caps(String::from_utf8_lossy(text).into_owned()))
            }
            EOS => Ok(Self::EndOfStream),
            command => Ok(Self::Unknown(command)),
        }
    }
}

/// What releases buffer `id`.
pub fn release(id: u64) -> [u8; HEADER + 8] {
    let mut message = [0; HEADER + 8];
    message[..4].copy_from_slice(&RELEASE_BUFFER.to_ne_bytes());
    message[4..HEADER].copy_from_slice(&8u32.to_ne_bytes());
    message[HEADER..].copy_from_slice(&id.to_ne_bytes());
    message
}

/// Bytes that are read from the front.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn skip(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (skipped, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(skipped)
    }
}

impl Buffer {
    fn parse(payload: &[u8]) -> Result<Self, Broken> {
        let mut rest = Rest(payload);
        let cut_short = || Broken::from("sent a frame's description that is cut short");
        let id = u64::from_ne_bytes(rest.take().ok_or_else(cut_short)?);
        // Times, numbers and flags.
        rest.skip(5 * 8 + 4).ok_or_else(cut_short)?;
        let [kind, pieces] = rest.take().ok_or_else(cut_short)?;
        let metas = u16::from_ne_bytes(rest.take().ok_or_else(cut_short)?);
        let kind = match kind {
            0 => MemoryKind::Ordinary,
            1 => MemoryKind::DmaBuf,
            kind => return Err(Broken(format!("sent memory of an unknown kind ({kind})"))),
        };
        let mut piece = || {
            let (len, offset) = (rest.take()?, rest.take()?);
            Some(Piece { offset: u64::from_ne_bytes(offset), len: u64::from_ne_bytes(len) })
        };
        let pieces = (0..pieces).map(|_| piece()).collect::<Option<_>>().ok_or_else(cut_short)?;
        let mut planes = None;
        for _ in 0..metas {
            let (name, version, meta) = next_meta(&mut rest).ok_or("sent metadata that is cut short")?;
            if (name, version) == (b"GstVideoMeta", 0) {
                planes = Some(video_meta(Rest(meta)).ok_or("sent a GstVideoMeta that is cut short")?);
            }
        }
        Ok(Self { id, kind, pieces, planes })
    }
}

/// The name, the version and the bytes of what `gst_meta_serialize` has written.
fn next_meta<'a>(rest: &mut Rest<'a>) -> Option<(&'a [u8], u8, &'a [u8])> {
    let len = u32::from_le_bytes(rest.take()?);
    let mut meta = Rest(rest.skip((len as usize).checked_sub(4)?)?);
    let name = u32::from_le_bytes(meta.take()?);
    let name = meta.skip(name as usize)?;
    let [0, version] = meta.take()? else { return None };
    Some((name, version, meta.0))
}

/// The planes of a `GstVideoMeta`. Its format and size are those of the caps.
fn video_meta(mut meta: Rest<'_>) -> Option<Vec<Plane>> {
    const FLAGS_FORMAT_WIDTH_HEIGHT: usize = 16;
    const MOST_PLANES: u32 = 4;
    meta.skip(FLAGS_FORMAT_WIDTH_HEIGHT)?;
    let planes = Some(u32::from_le_bytes(meta.take()?)).filter(|planes| *planes <= MOST_PLANES)?;
    let offsets: Vec<_> = (0..planes).map(|_| meta.take().map(u64::from_le_bytes)).collect::<Option<_>>()?;
    let plane = |offset| Some(Plane { offset, stride: i32::from_le_bytes(meta.take()?) });
    offsets.into_iter().map(plane).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A message as the sink sends it.
    pub fn message(command: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap();
        [&command.to_ne_bytes(), &len.to_ne_bytes(), payload].concat()
    }

    pub fn caps(text: &str) -> Vec<u8> {
        message(CAPS, format!("{text}\0").as_bytes())
    }

    /// A description of a buffer of these pieces, with metadata.
    pub fn payload(id: u64, kind: u8, pieces: &[(u64, u64)], metas: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = id.to_ne_bytes().to_vec();
        payload.extend([0xff; 40]);
        payload.extend([0; 4]);
        payload.extend([kind, pieces.len() as u8]);
        payload.extend((metas.len() as u16).to_ne_bytes());
        for (offset, len) in pieces {
            payload.extend([len.to_ne_bytes(), offset.to_ne_bytes()].concat());
        }
        payload.extend(metas.concat());
        payload
    }

    pub fn buffer(id: u64, kind: u8, pieces: &[(u64, u64)], metas: &[Vec<u8>]) -> Vec<u8> {
        message(NEW_BUFFER, &payload(id, kind, pieces, metas))
    }

    pub fn meta(name: &str, version: u8, bytes: &[u8]) -> Vec<u8> {
        let len = (4 + 4 + name.len() + 2 + bytes.len()) as u32;
        [&len.to_le_bytes(), &(name.len() as u32).to_le_bytes(), name.as_bytes(), &[0, version], bytes].concat()
    }

    /// A `GstVideoMeta` of planes at these offsets, with these strides.
    pub fn video_meta(planes: &[(u64, i32)]) -> Vec<u8> {
        let mut bytes = [0, 23, 640, 480, planes.len() as u32].map(u32::to_le_bytes).concat();
        planes.iter().for_each(|(offset, _)| bytes.extend(offset.to_le_bytes()));
        planes.iter().for_each(|(_, stride)| bytes.extend(stride.to_le_bytes()));
        bytes.extend(vec![0; 16 + 4 * planes.len()]);
        meta("GstVideoMeta", 0, &bytes)
    }

    fn parse(message: &[u8]) -> Result<Message, Broken> {
        let header = Header::parse(message[..HEADER].try_into().unwrap())?;
        Message::parse(header, &message[HEADER..])
    }

    fn broken(message: &[u8]) -> String {
        parse(message).unwrap_err().0
    }

    #[test]
    fn messages_are_read_as_the_sink_writes_them() {
        assert_eq!(parse(&caps("video/x-raw")), Ok(Message::Caps("video/x-raw".into())));
        assert_eq!(parse(&caps("")), Ok(Message::Caps(String::new())));
        assert_eq!(parse(&message(EOS, b"")), Ok(Message::EndOfStream));
        assert_eq!(parse(&message(17, b"later")), Ok(Message::Unknown(17)));
        let planes = [(16, 640), (307_216, 640)];
        let metas = [meta("GstReferenceTimestampMeta", 3, b"?"), video_meta(&planes)];
        let pieces = vec![Piece { offset: 16, len: 460_800 }];
        let expected = Buffer { id: u64::MAX, kind: MemoryKind::Ordinary, pieces, planes: None };
        assert_eq!(parse(&buffer(u64::MAX, 0, &[(16, 460_800)], &metas[..1])), Ok(Message::Buffer(expected)));
        let Ok(Message::Buffer(read)) = parse(&buffer(1, 1, &[], &metas)) else { panic!() };
        assert_eq!((read.kind, read.pieces.len()), (MemoryKind::DmaBuf, 0));
        assert_eq!(read.planes, Some(planes.map(|(offset, stride)| Plane { offset, stride }).to_vec()));
        assert_eq!(release(0x0102_0304_0506_0708), *message(RELEASE_BUFFER, &0x0102_0304_0506_0708u64.to_ne_bytes()));
    }

    #[test]
    fn what_no_sink_sends_is_named() {
        assert!(broken(&[0xff; HEADER]).contains("another protocol"));
        assert!(broken(b"HTTP/1.1").contains("another protocol"));
        assert!(broken(&message(RELEASE_BUFFER, &[0; 8])).contains("released"));
        assert!(broken(&message(CAPS, b"video/x-raw")).contains("without an end"));
        assert!(broken(&message(CAPS, b"")).contains("without an end"));
        assert!(broken(&buffer(1, 9, &[], &[])).contains("unknown kind (9)"));
    }

    #[test]
    fn wherever_a_message_is_cut_that_is_seen() {
        let whole = payload(1, 0, &[(0, 1), (1, 2)], &[meta("x", 0, b"abc"), video_meta(&[(0, 4), (8, 4)])]);
        assert!(parse(&message(NEW_BUFFER, &whole)).is_ok());
        // The last bytes are alignments, which nobody needs here; the length of the metadata covers them.
        for len in 0..whole.len() {
            assert!(broken(&message(NEW_BUFFER, &whole[..len])).contains("cut short"), "{len}");
        }
        for (at, bytes) in [(0, 3u32), (0, u32::MAX), (4, u32::MAX), (4, 1000)] {
            let mut meta = meta("x", 0, b"abc");
            meta[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
            assert!(broken(&buffer(1, 0, &[], &[meta])).contains("metadata"), "{at}, {bytes}");
        }
        let many = super::tests::meta("GstVideoMeta", 0, &[0xff; 64]);
        assert!(broken(&buffer(1, 0, &[], &[many])).contains("GstVideoMeta"));
    }
}
