//! EGL_EXT_image_dma_buf_import, and its modifiers, for memory that no device made.
//!
//! `eglCreateImage` checks what it is given as the two specifications say, and stricter than any driver. The texture that an
//! image is bound to gets what the memory holds at that moment, by Mesa's own `glTexImage2D`. Any other image is Mesa's.

use crate::display::of_mesa;
use crate::error::{self, BAD_ATTRIBUTE, BAD_PARAMETER};
use crate::{FALSE, LEDGER, TRUE, mesa_function};
use sim_ledger::{Call, setting};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

const BAD_ACCESS: i32 = 0x3002;
const BAD_ALLOC: i32 = 0x3003;
const BAD_CONTEXT: i32 = 0x3006;
const BAD_MATCH: i32 = 0x3009;

const LINUX_DMA_BUF: u32 = 0x3270;
const NONE: isize = 0x3038;
const HEIGHT: isize = 0x3056;
const WIDTH: isize = 0x3057;
const FOURCC: isize = 0x3271;
/// What there may be of each plane: descriptor, offset and pitch, and both halves of the modifier.
const PLANES: [[isize; 5]; 4] = [
    [0x3272, 0x3273, 0x3274, 0x3443, 0x3444],
    [0x3275, 0x3276, 0x3277, 0x3445, 0x3446],
    [0x3278, 0x3279, 0x327A, 0x3447, 0x3448],
    [0x3440, 0x3441, 0x3442, 0x3449, 0x344A],
];
/// Each hint, and the values that it may have.
const HINTS: [(isize, &[isize]); 4] = [
    (0x327B, &[0x327F, 0x3280, 0x3281]),
    (0x327C, &[0x3282, 0x3283]),
    (0x327D, &[0x3284, 0x3285]),
    (0x327E, &[0x3284, 0x3285]),
];

/// Rows one below the other.
const LINEAR: u64 = 0;
/// The layout of no device: as [`LINEAR`], with each byte the other way round.
const INVERTED: u64 = 0x1d00_0000_0000_0001;

const TEXTURE_2D: u32 = 0x0DE1;
const UNSIGNED_BYTE: u32 = 0x1401;

/// What an image of one format is for GL.
#[derive(Clone, Copy)]
struct Format {
    fourcc: &'static [u8; 4],
    bytes: usize,
    internal: i32,
    external: u32,
}

/// R8, RG8 and RGBA8; RED, RG, RGBA and BGRA.
const FORMATS: [Format; 6] = [
    Format { fourcc: b"R8  ", bytes: 1, internal: 0x8229, external: 0x1903 },
    Format { fourcc: b"GR88", bytes: 2, internal: 0x822B, external: 0x8227 },
    Format { fourcc: b"AB24", bytes: 4, internal: 0x8058, external: 0x1908 },
    Format { fourcc: b"XB24", bytes: 4, internal: 0x8058, external: 0x1908 },
    Format { fourcc: b"AR24", bytes: 4, internal: 0x8058, external: 0x80E1 },
    Format { fourcc: b"XR24", bytes: 4, internal: 0x8058, external: 0x80E1 },
];

struct Image {
    format: Format,
    width: usize,
    height: usize,
    memory: File,
    offset: u64,
    pitch: usize,
    modifier: u64,
}

/// By the handle that stands for each.
static IMAGES: Mutex<BTreeMap<usize, Image>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Copy, PartialEq)]
enum Offered {
    Nothing,
    Import,
    Modifiers,
}

fn offered() -> Offered {
    match setting::text(setting::DMA_BUF).as_deref() {
        None => Offered::Nothing,
        Some("import") => Offered::Import,
        Some("modifiers") => Offered::Modifiers,
        Some(other) => panic!("{}={other}: expected import or modifiers", setting::DMA_BUF),
    }
}

/// What stands in front of Mesa's function of this name, if anything does.
pub(crate) fn function(name: &[u8]) -> Option<*mut c_void> {
    if offered() == Offered::Nothing {
        return None;
    }
    Some(match name {
        b"eglCreateImage" => create_image as *mut c_void,
        b"eglDestroyImage" => destroy_image as *mut c_void,
        b"glEGLImageTargetTexture2DOES" => image_target_texture as *mut c_void,
        _ => return None,
    })
}

/// What a display lists of it.
pub(crate) fn extensions() -> &'static [&'static str] {
    match offered() {
        Offered::Nothing => &[],
        Offered::Import => &["EGL_EXT_image_dma_buf_import"],
        Offered::Modifiers => &["EGL_EXT_image_dma_buf_import", "EGL_EXT_image_dma_buf_import_modifiers"],
    }
}

unsafe extern "C" fn create_image(
    display: *mut c_void,
    context: *mut c_void,
    target: u32,
    buffer: *mut c_void,
    attributes: *const isize,
) -> *mut c_void {
    static CALL: Call = Call::new("eglCreateImage");
    type CreateImage = unsafe extern "C" fn(*mut c_void, *mut c_void, u32, *mut c_void, *const isize) -> *mut c_void;
    let _ = LEDGER.enter(&CALL);
    if target != LINUX_DMA_BUF {
        // SAFETY: EGL gives this type to this name, and the parameters are the caller's.
        return unsafe {
            mesa_function::<CreateImage>(c"eglCreateImage")(of_mesa(display), context, target, buffer, attributes)
        };
    }
    let mut list = Vec::new();
    // SAFETY: EGL's lists are names with their values, and end with this one in the place of a name.
    unsafe {
        while *attributes.add(list.len() * 2) != NONE {
            let pair = attributes.add(list.len() * 2);
            list.push((*pair, *pair.add(1)));
        }
    }
    let made = match (context.is_null(), buffer.is_null()) {
        (false, _) => Err((BAD_CONTEXT, "context")),
        (_, false) => Err((BAD_PARAMETER, "buffer")),
        _ => Image::new(&list),
    };
    match made {
        Ok(image) => {
            let handle = Box::into_raw(Box::new(0u8)) as usize;
            let mut images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
            images.insert(handle, image);
            LEDGER.peak("peak.images", images.len() as u64);
            LEDGER.set("live.images", images.len() as u64);
            handle as *mut c_void
        }
        Err((error, why)) => {
            LEDGER.count(&format!("refused.{why}"), 1);
            LEDGER.write("image", &[]);
            error::set(error);
            std::ptr::null_mut()
        }
    }
}

impl Image {
    /// Reads the attributes. The error is EGL's, and what it is for.
    fn new(list: &[(isize, isize)]) -> Result<Self, (i32, &'static str)> {
        let value = |wanted: isize| list.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let known = |name: isize| {
            let of_planes = match offered() {
                // The fourth plane is of the modifiers' extension, as they are.
                Offered::Modifiers => PLANES.iter().flatten().any(|it| *it == name),
                _ => PLANES[..3].iter().any(|plane| plane[..3].contains(&name)),
            };
            of_planes || [WIDTH, HEIGHT, FOURCC].contains(&name) || HINTS.iter().any(|(hint, _)| *hint == name)
        };
        if list.iter().any(|(name, _)| !known(*name)) {
            return Err((BAD_PARAMETER, "unknown"));
        }
        for (hint, values) in HINTS {
            if value(hint).is_some_and(|value| !values.contains(&value)) {
                return Err((BAD_ATTRIBUTE, "hint"));
            }
        }
        let needed = |name| value(name).ok_or((BAD_PARAMETER, "incomplete"));
        let side = |name| match needed(name)? {
            side @ 1..=16384 => Ok(side as usize),
            _ => Err((BAD_PARAMETER, "size")),
        };
        let (width, height) = (side(WIDTH)?, side(HEIGHT)?);
        let fourcc = u32::try_from(needed(FOURCC)?).map_err(|_| (BAD_MATCH, "format"))?.to_le_bytes();
        let format = FORMATS.into_iter().find(|it| *it.fourcc == fourcc).ok_or((BAD_MATCH, "format"))?;
        // All formats that are known have one plane.
        if PLANES[1..].iter().flatten().any(|name| value(*name).is_some()) {
            return Err((BAD_ATTRIBUTE, "planes"));
        }
        let [fd, offset, pitch, low, high] = PLANES[0];
        let modifier = match (value(low), value(high)) {
            (None, None) => LINEAR,
            (Some(low), Some(high)) => u64::from(low as u32) | u64::from(high as u32) << 32,
            _ => return Err((BAD_PARAMETER, "half-a-modifier")),
        };
        if ![LINEAR, INVERTED].contains(&modifier) {
            return Err((BAD_MATCH, "modifier"));
        }
        let fd = i32::try_from(needed(fd)?).ok().filter(|fd| *fd >= 0).ok_or((BAD_PARAMETER, "descriptor"))?;
        let number = |name| match i32::try_from(needed(name)?) {
            Ok(number @ 0..) => Ok(number as usize),
            _ => Err((BAD_ACCESS, "place")),
        };
        let (offset, pitch) = (number(offset)? as u64, number(pitch)?);
        if pitch < width * format.bytes {
            return Err((BAD_ACCESS, "pitch"));
        }
        // SAFETY: it is the caller's, who has it open during this call; it is not closed here.
        let shared = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
        // EGL keeps no descriptor of its caller's.
        let memory = shared.try_clone().map_err(|_| (BAD_ALLOC, "descriptor"))?;
        let has = memory.metadata().ok().filter(|it| it.is_file()).ok_or((BAD_ALLOC, "descriptor"))?.len();
        if offset + (pitch * (height - 1) + width * format.bytes) as u64 > has {
            return Err((BAD_ACCESS, "beyond"));
        }
        Ok(Self { format, width, height, memory, offset, pitch, modifier })
    }

    /// Its texels from the top row down, each row a multiple of four bytes long.
    fn texels(&self) -> Vec<u8> {
        let row = self.width * self.format.bytes;
        let padded = row.next_multiple_of(4);
        let mut texels = vec![0; padded * self.height];
        for (at, texels) in texels.chunks_exact_mut(padded).enumerate() {
            let offset = self.offset + (at * self.pitch) as u64;
            self.memory.read_exact_at(&mut texels[..row], offset).expect("memory that does not shrink");
            if self.modifier == INVERTED {
                texels.iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
        texels
    }
}

unsafe extern "C" fn destroy_image(display: *mut c_void, image: *mut c_void) -> u32 {
    static CALL: Call = Call::new("eglDestroyImage");
    let _ = LEDGER.enter(&CALL);
    let mut images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
    if images.remove(&(image as usize)).is_none() {
        type DestroyImage = unsafe extern "C" fn(*mut c_void, *mut c_void) -> u32;
        // SAFETY: EGL gives this type to this name, and the parameters are the caller's.
        return unsafe { mesa_function::<DestroyImage>(c"eglDestroyImage")(of_mesa(display), image) };
    }
    LEDGER.set("live.images", images.len() as u64);
    LEDGER.write("image", &[]);
    // SAFETY: it was made so, and is known no more.
    drop(unsafe { Box::from_raw(image.cast::<u8>()) });
    if display.is_null() { FALSE } else { TRUE }
}

unsafe extern "C" fn image_target_texture(target: u32, image: *mut c_void) {
    type TexImage = unsafe extern "C" fn(u32, i32, i32, i32, i32, i32, u32, u32, *const c_void);
    type TargetTexture = unsafe extern "C" fn(u32, *mut c_void);
    let images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
    match images.get(&(image as usize)) {
        Some(image) if target == TEXTURE_2D => {
            let Format { internal, external, .. } = image.format;
            let (width, height) = (image.width as i32, image.height as i32);
            let texels = image.texels();
            // SAFETY: GL gives this type to this name; rows of a multiple of four bytes are what it reads unless told.
            unsafe {
                mesa_function::<TexImage>(c"glTexImage2D")(
                    target,
                    0,
                    internal,
                    width,
                    height,
                    0,
                    external,
                    UNSIGNED_BYTE,
                    texels.as_ptr().cast(),
                );
            }
        }
        // SAFETY: GL gives this type to this name, and the parameters are the caller's.
        _ => unsafe { mesa_function::<TargetTexture>(c"glEGLImageTargetTexture2DOES")(target, image) },
    }
}
