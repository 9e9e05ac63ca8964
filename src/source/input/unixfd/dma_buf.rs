//! Pictures in the memory of a device, as dma-bufs.
//!
//! A driver that imports them draws them: in a context that is opened when the first one comes, on the thread that reads the
//! socket. Memory whose rows lie one below the other can be mapped as well. Either way a picture is copied to host memory as
//! it is, and goes on as any other from there: what made it need not be what encodes it, and its colours are not left to a
//! driver. The buffer is not used any more then. Where there are no such pictures, no GL is loaded.

use super::super::intake::Intake;
use super::caps::Caps;
use super::device_format::DeviceFormat;
use super::layout;
use super::wire::{Broken, Buffer, Piece};
use crate::gl::{DeviceImage, DevicePlane, Importer};
use crate::gpu::find_gl;
use crate::os::device_memory::{Access, DeviceMemory};
use crate::settings::{PixelFormat, PlaneLayout, Shape};
use rustix::fd::{AsFd as _, OwnedFd};

/// More planes than a layout has, with those that hold what was compressed.
const MOST_PLANES: usize = 4;

/// Why a picture is not there.
#[derive(Debug)]
pub enum Failed {
    /// The producer's fault.
    Broken(Broken),
    /// Nothing here reads such pictures.
    Refused(DeviceFormat, Vec<String>),
}

impl<B: Into<Broken>> From<B> for Failed {
    fn from(why: B) -> Self {
        Self::Broken(why.into())
    }
}

/// Reads pictures of one format after another.
#[derive(Debug, Default)]
pub struct DeviceFrames {
    /// What has read the last one.
    way: Option<(DeviceFormat, Way)>,
}

#[derive(Debug)]
enum Way {
    Drawn(Box<Importer>),
    Mapped,
}

/// A picture where it lies.
#[derive(Debug)]
struct Picture<'a> {
    shape: Shape,
    format: DeviceFormat,
    memories: &'a [DeviceMemory],
    places: Vec<Place>,
}

/// Where a plane begins.
#[derive(Debug)]
struct Place {
    /// Which memory it is in.
    memory: usize,
    /// Bytes from the memory's start.
    offset: u64,
    pitch: usize,
}

impl DeviceFrames {
    /// Copies a picture. Returns its samples as they lie then, without padding, in a buffer of the intake's.
    ///
    /// # Errors
    /// It is not there.
    pub fn copy(
        &mut self,
        caps: &Caps,
        buffer: &Buffer,
        fds: Vec<OwnedFd>,
        intake: &Intake,
    ) -> Result<(Shape, Vec<u8>), Failed> {
        let memories = open(&buffer.pieces, fds)?;
        let format = caps.device.unwrap_or_else(|| DeviceFormat::linear(caps.shape.format));
        let places = places(caps.shape, format, buffer, &memories)?;
        let picture = Picture { shape: caps.shape, format, memories: &memories, places };
        // What it was drawn with goes before another is looked for, and after a failure: a thread has one context.
        let (way, copied) = match self.way.take().filter(|(of, _)| *of == format) {
            Some((_, way)) => picture.copy_by(way, caps.device.is_some(), intake)?,
            None => picture.find_way(caps.device.is_some(), intake)?,
        };
        self.way = Some((format, way));
        Ok(copied)
    }
}

/// The memories behind these pieces.
fn open(pieces: &[Piece], fds: Vec<OwnedFd>) -> Result<Vec<DeviceMemory>, Broken> {
    let memory = |(piece, fd): (&Piece, OwnedFd)| {
        let memory =
            DeviceMemory::new(fd).ok_or("shares as memory of a device what is neither a dma-buf nor sealed")?;
        let has = memory.len();
        match piece.offset.checked_add(piece.len) {
            Some(end) if end <= has => Ok(memory),
            _ => {
                let Piece { offset, len } = piece;
                Err(Broken(format!("shares {len} bytes from {offset} on, of a device's memory that has {has}")))
            }
        }
    };
    pieces.iter().zip(fds).map(memory).collect()
}

/// Where the planes of a picture lie.
fn places(
    shape: Shape,
    format: DeviceFormat,
    buffer: &Buffer,
    memories: &[DeviceMemory],
) -> Result<Vec<Place>, Broken> {
    let wrong = || Broken::from("sent planes that its caps do not have");
    // How many bytes of a plane there have to be is known where rows lie one below the other.
    let planes: Vec<(u64, usize, usize)> = if format.is_linear() {
        let planes = match &buffer.planes {
            Some(told) => layout::told(&shape, told),
            None => layout::usual(&shape),
        };
        let bytes = |plane: &PlaneLayout| plane.pitch.checked_mul(plane.rows - 1)?.checked_add(plane.row_bytes);
        let used = planes.iter().flatten().filter(|plane| plane.rows > 0);
        used.map(|plane| Some((plane.offset as u64, plane.pitch, bytes(plane)?)))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?
    } else {
        let told = buffer.planes.as_ref().ok_or("sent a tiled frame without saying where its planes lie")?;
        let plane = |plane: &super::wire::Plane| Some((plane.offset, usize::try_from(plane.stride).ok()?, 1));
        told.iter().map(plane).collect::<Option<_>>().ok_or_else(wrong)?
    };
    let parts = colour_planes(&shape).map_or(1..=MOST_PLANES, |planes| planes.len()..=planes.len());
    if !parts.contains(&planes.len()) {
        return Err(wrong());
    }
    let place = |(mut offset, pitch, bytes): (u64, usize, usize)| {
        for (memory, piece) in buffer.pieces.iter().enumerate() {
            if let Some(behind) = offset.checked_sub(piece.len) {
                offset = behind;
                continue;
            }
            let offset = piece.offset + offset;
            return Some(Place { memory, offset, pitch }).filter(|_| memories[memory].len() - offset >= bytes as u64);
        }
        None
    };
    planes.into_iter().map(place).collect::<Option<_>>().ok_or_else(|| "shares less than a frame".into())
}

/// The planes of luma and chroma, if there are any. RGB is drawn as it is.
fn colour_planes(shape: &Shape) -> Option<Vec<PlaneLayout>> {
    let planes = shape.format.planes(shape.width, shape.height, 1).filter(|_| shape.format.is_ycbcr())?;
    Some(planes.into_iter().filter(|plane| plane.rows > 0).collect())
}

impl Picture<'_> {
    /// Copies it by the first way that leads there.
    fn find_way(&self, is_of_a_device: bool, intake: &Intake) -> Result<(Way, (Shape, Vec<u8>)), Failed> {
        let mut reasons = Vec::new();
        // A processor reads a device's memory slowly, if it may; but that of which the caps say nothing is for it to read.
        let ways = if is_of_a_device { [true, false] } else { [false, true] };
        for is_drawn in ways {
            if is_drawn {
                let draw = |gl| {
                    let mut importer = Importer::new(gl)?;
                    let copied = self.fill_buffer(self.drawn_shape(), intake, |it| self.draw(&mut importer, it))?;
                    Ok((Box::new(importer), copied))
                };
                match find_gl(draw) {
                    Ok((importer, copied)) => {
                        tracing::info!(
                            "{} draws the frames of a device (DMABuf, {})",
                            importer.renderer(),
                            self.format
                        );
                        return Ok((Way::Drawn(importer), copied));
                    }
                    Err(why) => reasons.extend(why),
                }
            } else if self.format.is_linear() {
                match self.fill_buffer(self.shape, intake, |it| self.read(it)) {
                    Ok(copied) => {
                        tracing::info!("the frames of a device (DMABuf, {}) are mapped", self.format);
                        return Ok((Way::Mapped, copied));
                    }
                    Err(why) => reasons.push(why),
                }
            }
        }
        Err(Failed::Refused(self.format, reasons))
    }

    /// Copies it as the one before; by another way, if the GPU was reset under that one.
    fn copy_by(&self, mut way: Way, is_of_a_device: bool, intake: &Intake) -> Result<(Way, (Shape, Vec<u8>)), Failed> {
        let copied = match &mut way {
            Way::Drawn(importer) => self.fill_buffer(self.drawn_shape(), intake, |it| self.draw(importer, it)),
            Way::Mapped => self.fill_buffer(self.shape, intake, |it| self.read(it)),
        };
        match copied {
            Ok(copied) => Ok((way, copied)),
            Err(why) if matches!(&way, Way::Drawn(importer) if importer.is_lost()) => {
                tracing::warn!("{why}; opening the GPU again");
                drop(way);
                self.find_way(is_of_a_device, intake)
            }
            Err(why) => Err(Broken(format!("shares a frame that cannot be read: {why}")).into()),
        }
    }

    /// What it is when it was drawn.
    fn drawn_shape(&self) -> Shape {
        let format = if self.shape.format.is_ycbcr() { self.shape.format } else { PixelFormat::Rgba };
        Shape { format, ..self.shape }
    }

    fn fill_buffer(
        &self,
        shape: Shape,
        intake: &Intake,
        fill: impl FnOnce(&mut [u8]) -> Result<(), String>,
    ) -> Result<(Shape, Vec<u8>), String> {
        let mut samples = intake.buffer(shape.bytes().ok_or("it is too large")?);
        match fill(&mut samples) {
            Ok(()) => Ok((shape, samples)),
            Err(why) => {
                intake.give_back(samples);
                Err(why)
            }
        }
    }

    fn draw(&self, importer: &mut Importer, mut samples: &mut [u8]) -> Result<(), String> {
        let far = |_| "it lies too far apart".to_owned();
        let plane = |place: &Place| {
            let offset = u32::try_from(place.offset).map_err(far)?;
            let pitch = u32::try_from(place.pitch).map_err(far)?;
            Ok::<_, String>(DevicePlane { fd: self.memories[place.memory].as_fd(), offset, pitch })
        };
        let planes = self.places.iter().map(plane).collect::<Result<Vec<_>, _>>()?;
        let DeviceFormat { fourcc, modifier } = self.format;
        let &Shape { width, height, format, .. } = &self.shape;
        let Some(layouts) = colour_planes(&self.shape) else {
            return importer.copy(&DeviceImage { width, height, fourcc, modifier, planes: &planes }, samples);
        };
        for (at, (plane, PlaneLayout { row_bytes, rows, .. })) in planes.iter().zip(layouts).enumerate() {
            let (fourcc, parts) = if format == PixelFormat::Nv12 && at > 0 { (*b"GR88", 2) } else { (*b"R8  ", 1) };
            let (width, height) = ((row_bytes / parts) as u32, rows as u32);
            let (now, later) = samples.split_at_mut(row_bytes * rows);
            let planes = std::slice::from_ref(plane);
            importer.copy(&DeviceImage { width, height, fourcc, modifier, planes }, now)?;
            samples = later;
        }
        Ok(())
    }

    fn read(&self, mut samples: &mut [u8]) -> Result<(), String> {
        let not_mapped = "its memory cannot be mapped";
        let memories: Vec<Access<'_>> =
            self.memories.iter().map(DeviceMemory::map).collect::<Option<_>>().ok_or(not_mapped)?;
        let layouts = self.shape.format.planes(self.shape.width, self.shape.height, 1).ok_or("it is too large")?;
        for (place, PlaneLayout { row_bytes, rows, .. }) in self.places.iter().zip(layouts) {
            for row in 0..rows {
                let (now, later) = samples.split_at_mut(row_bytes);
                let offset = place.offset + (row * place.pitch) as u64;
                if !memories[place.memory].read(offset, now) {
                    return Err(not_mapped.to_owned());
                }
                samples = later;
            }
        }
        Ok(())
    }
}
