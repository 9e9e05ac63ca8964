//! Once a stream runs, no picture of it allocates memory on the heap.
//!
//! The streams run in this process, under an allocator that counts. The simulated drivers are libraries with an
//! allocator of their own, as Mesa and OpenH264 are: what they do is not counted.
//!
//! One test for all of it: the counter knows no threads, and a second test would allocate beside the first.

#[path = "../support/sim.rs"]
mod sim;

use mb_encode::gl::Gl;
use mb_encode::parts::TestCard;
use mb_encode::settings::{EncoderChoice, MpegTs, PixelFormat, Shape, Size};
use mb_encode::{Control, Drawn, Error, Frame, Frames, Output, Renderer, Settings, Totals, stream};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Pictures of the first second.
const FIRST: u64 = 60;
/// Pictures that are looked at.
const STEADY: u64 = 120;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call goes on to the system's allocator as it came; counting touches no memory of anybody.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the condition of `GlobalAlloc::alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The test card, which notes the count of allocations before each picture.
struct Watched {
    card: TestCard,
    /// One for each picture, made before the first.
    counts: Arc<Vec<AtomicU64>>,
}

impl Renderer for Watched {
    fn fills_target(&self) -> bool {
        self.card.fills_target()
    }

    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        self.counts[frame.index as usize].store(ALLOCATIONS.load(Ordering::Relaxed), Ordering::Relaxed);
        self.card.draw(frame)
    }
}

/// Pictures in host memory, each another one, which note the count of allocations likewise.
struct Handed {
    shape: Shape,
    counts: Arc<Vec<AtomicU64>>,
}

impl Frames for Handed {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn fill(&mut self, index: u64, _: Duration, samples: &mut [u8]) -> Result<Drawn, Error> {
        self.counts[index as usize].store(ALLOCATIONS.load(Ordering::Relaxed), Ordering::Relaxed);
        samples.fill(index as u8);
        Ok(Drawn::New)
    }
}

/// Where the pictures of a stream come from.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// They are drawn.
    Gl,
    /// They lie in host memory.
    Host,
    /// They are drawn, and read back to be uploaded.
    Apart,
}

/// Reads a FIFO to its end, as `cat` would, and gives the number of bytes.
fn reader(path: std::path::PathBuf) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        use std::io::Read;
        let mut fifo = std::fs::File::open(path).expect("the FIFO was made");
        let mut bytes = 0;
        let mut part = [0; 1 << 16];
        loop {
            match fifo.read(&mut part).expect("a pipe can be read") {
                0 => return bytes,
                read => bytes += read as u64,
            }
        }
    })
}

/// Streams through a FIFO, and gives how many allocations each picture after the first second cost.
fn allocations(way: Way, encoder: EncoderChoice, paced: bool, mpegts: Option<MpegTs>) -> Vec<u64> {
    let pictures = FIRST + STEADY + 1;
    let settings = Settings {
        encoder,
        paced,
        mpegts,
        pictures: Some(pictures),
        size: Size::new(640, 360).expect("a legal size"),
        ..Settings::default()
    };
    let counts: Arc<Vec<_>> = Arc::new((0..pictures).map(|_| AtomicU64::new(0)).collect());
    let make = |gl: &Gl, settings: &Settings| {
        let card = TestCard::new(gl, settings.size, "mb-encode")?;
        Ok(Box::new(Watched { card, counts: Arc::clone(&counts) }) as Box<dyn Renderer>)
    };
    let folder = tempfile::tempdir().expect("a folder for the FIFO");
    let path = folder.path().join("stream.h264");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    let reader = reader(path.clone());
    let pipe = std::fs::OpenOptions::new().write(true).open(&path).expect("the FIFO was made");
    let output = Output::Pipe { fd: pipe.into(), name: "the FIFO".to_owned() };
    let control = Control::new().expect("a descriptor");
    let totals: Result<Totals, Error> = match way {
        Way::Gl | Way::Apart => stream::run(&settings, &output, make, &control, None),
        Way::Host => {
            let shape = Shape::new(settings.size.width(), settings.size.height(), PixelFormat::Yuv420p);
            let handed = Handed { shape, counts: Arc::clone(&counts) };
            stream::run_frames(&settings, &output, handed, &control, None)
        }
    };
    drop(output);
    let totals = totals.unwrap_or_else(|error| panic!("{way:?}, {encoder:?}: {error}"));
    assert_eq!(totals.pictures, pictures, "{way:?}, {encoder:?}");
    assert_eq!(reader.join().expect("the reader reads to the end"), totals.bytes, "{encoder:?}");
    let counts: Vec<_> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    counts[FIRST as usize..].windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn no_picture_allocates_after_the_first_second() {
    // Loaded by their places, so that the names find them; the library path of a running process cannot be changed.
    for name in ["libcuda.so.1", "libnvidia-encode.so.1"] {
        // SAFETY: the simulated drivers are made to be loaded; they stay until the process ends.
        let library = unsafe { libloading::Library::new(sim::drivers().join(name)) };
        std::mem::forget(library.expect("a library that was just built"));
    }
    let native = Some(MpegTs::Native);
    use EncoderChoice::{Nvenc, Openh264};
    for (way, encoder, paced, mpegts) in [
        (Way::Gl, Nvenc, false, None),
        (Way::Gl, Nvenc, true, None),
        (Way::Gl, Nvenc, true, native),
        (Way::Gl, Openh264, false, None),
        (Way::Gl, Openh264, true, None),
        (Way::Gl, Openh264, false, native),
        (Way::Host, Nvenc, false, None),
        (Way::Host, Nvenc, true, None),
        (Way::Host, Openh264, false, None),
        (Way::Host, Openh264, true, native),
        (Way::Apart, Nvenc, false, None),
        (Way::Apart, Nvenc, true, native),
    ] {
        if let Way::Apart = way {
            // SAFETY: of the threads of this test only the one that started it is left, and that waits.
            unsafe { std::env::set_var("MB_SIM_GL_DEVICE", "none") };
        }
        let counts = allocations(way, encoder, paced, mpegts);
        assert_eq!(counts.len() as u64, STEADY);
        let first = counts.iter().position(|&count| count > 0);
        assert_eq!(
            (first, counts.iter().sum::<u64>()),
            (None, 0),
            "{way:?}, {encoder:?}, {}, {mpegts:?}: a picture allocates, the first {FIRST} aside",
            if paced { "paced" } else { "unpaced" }
        );
    }
}
