//! Textures registered with CUDA: registered once, mapped and unmapped for each picture.
//!
//! A map reads the texture's pixels into the array that `cuGraphicsSubResourceGetMappedArray` gives;
//! the array can be read only while the texture is mapped. Every call on a resource needs the OpenGL
//! context of its registration to be current on the thread. Buffers cannot be registered.

use crate::array::{Array, Descriptor3d};
use crate::caller::{LEDGER, List, Out};
use crate::context::current;
use crate::driver::{Driver, Handle, driver, moves_no_pixels};
use crate::gl::{self, Current, Texture, Unfit};
use crate::status::{
    ALREADY_MAPPED, Answer, INVALID_GRAPHICS_CONTEXT, INVALID_HANDLE, INVALID_VALUE, MAP_FAILED, NOT_MAPPED,
    NOT_SUPPORTED, Refusal, broken, failed,
};
use crate::{device, place, stream};

pub(crate) struct GraphicsResource {
    pub(crate) context: Handle,
    pub(crate) mapped: bool,
    gl_context: usize,
    texture: Texture,
    array: Handle,
}

/// READ_ONLY, WRITE_DISCARD, SURFACE_LDST, TEXTURE_GATHER.
const KNOWN_FLAGS: u32 = 0x0F;

driver_call! {
    fn cuGraphicsGLRegisterImage(resource: Out<Handle>, texture: u32, target: u32, flags: u32) {
        let mut driver = driver()?;
        let context = current(&driver)?;
        let gl = gl::current()?;
        place::shares_with_gl()?;
        if device::drawing().is_none_or(|drawing| !driver.devices.contains(&drawing)) {
            return Err(failed(INVALID_GRAPHICS_CONTEXT));
        }
        if flags & !KNOWN_FLAGS != 0 {
            return Err(broken(INVALID_VALUE, "register-flags"));
        }
        let texture = gl.texture(texture, target).map_err(|unfit| match unfit {
            Unfit::NoSuchTexture => broken(INVALID_VALUE, "no-such-texture"),
            Unfit::OtherTarget => broken(INVALID_VALUE, "texture-target"),
            Unfit::NoStorage => broken(INVALID_VALUE, "texture-without-storage"),
            Unfit::Format => broken(INVALID_VALUE, "texture-format"),
        })?;
        let (handle, array) = (driver.new_handle(), driver.new_handle());
        resource.put(handle)?;
        driver.arrays.insert(array, Array {
            context,
            descriptor: Descriptor3d {
                width: texture.width,
                height: texture.height,
                depth: 0,
                format: texture.texels.array_format,
                channels: texture.texels.channels,
                flags: 0,
            },
            pixels: vec![0xCD; texture.bytes()],
            of_texture: true,
            accessible: false,
        });
        driver.graphics.insert(handle, GraphicsResource {
            context, mapped: false, gl_context: gl.context, texture, array,
        });
        Ok(())
    }
}

driver_call! {
    fn cuGraphicsGLRegisterBuffer(resource: Out<Handle>, buffer: u32, flags: u32) {
        let _ = (resource, buffer, flags);
        Err(failed(NOT_SUPPORTED))
    }
}

fn known(driver: &Driver, resource: Handle) -> Result<&GraphicsResource, Refusal> {
    driver.graphics.get(&resource).ok_or(broken(INVALID_HANDLE, "unknown-resource"))
}

/// The current OpenGL context, if it is the one that the resource was registered in.
fn gl_of(resource: &GraphicsResource) -> Result<Current, Refusal> {
    let gl = gl::current()?;
    match gl.context == resource.gl_context {
        true => Ok(gl),
        false => Err(broken(INVALID_GRAPHICS_CONTEXT, "other-gl-context-current")),
    }
}

/// The resources of a call, each of which must be known and mapped, or not mapped.
fn selected(driver: &Driver, count: u32, resources: &List<Handle>, mapped: bool) -> Result<Current, Refusal> {
    let mut gl = None;
    if count == 0 {
        return Err(broken(INVALID_VALUE, "no-resources"));
    }
    for index in 0..count as usize {
        let resource = resources.get(index)?;
        let one = known(driver, resource)?;
        if one.mapped != mapped {
            return Err(match mapped {
                true => broken(NOT_MAPPED, "not-mapped"),
                false => broken(ALREADY_MAPPED, "mapped-twice"),
            });
        }
        for earlier in 0..index {
            if resources.get(earlier)? == resource {
                return Err(broken(INVALID_HANDLE, "listed-twice"));
            }
        }
        gl = Some(gl_of(one)?);
    }
    gl.ok_or(broken(INVALID_VALUE, "no-resources"))
}

/// Brings the texture's pixels into its array. A texture that was deleted keeps showing its last
/// pixels, for the driver holds its memory; one whose size or format changed cannot be mapped.
fn show(driver: &mut Driver, gl: &Current, resource: Handle) -> Answer {
    if moves_no_pixels() {
        return Ok(());
    }
    let (texture, array) = known(driver, resource).map(|one| (one.texture, one.array))?;
    if !gl.exists(texture.name) {
        LEDGER.count("mapped_after_deletion", 1);
    } else if gl.texture(texture.name, texture.target) != Ok(texture) {
        return Err(broken(MAP_FAILED, "texture-changed-since-registration"));
    } else if let Some(array) = driver.arrays.get_mut(&array) {
        gl.read(&texture, &mut array.pixels);
    }
    Ok(())
}

fn set_mapped(driver: &mut Driver, resource: Handle, mapped: bool) {
    if let Some(one) = driver.graphics.get_mut(&resource) {
        one.mapped = mapped;
        if let Some(array) = driver.arrays.get_mut(&one.array) {
            array.accessible = mapped;
        }
    }
}

driver_call! {
    fn cuGraphicsMapResources(count: u32, resources: List<Handle>, stream: Handle) {
        let mut driver = driver()?;
        current(&driver)?;
        stream::known(&driver, stream)?;
        let gl = selected(&driver, count, &resources, false)?;
        for index in 0..count as usize {
            show(&mut driver, &gl, resources.get(index)?)?;
        }
        for index in 0..count as usize {
            set_mapped(&mut driver, resources.get(index)?, true);
        }
        LEDGER.peak("peak.mapped_resources", driver.graphics.values().filter(|one| one.mapped).count() as u64);
        Ok(())
    }
}

driver_call! {
    fn cuGraphicsUnmapResources(count: u32, resources: List<Handle>, stream: Handle) {
        let mut driver = driver()?;
        current(&driver)?;
        stream::known(&driver, stream)?;
        selected(&driver, count, &resources, true)?;
        for index in 0..count as usize {
            set_mapped(&mut driver, resources.get(index)?, false);
        }
        Ok(())
    }
}

driver_call! {
    fn cuGraphicsSubResourceGetMappedArray(array: Out<Handle>, resource: Handle, layer: u32, level: u32) {
        let driver = driver()?;
        current(&driver)?;
        let resource = known(&driver, resource)?;
        if !resource.mapped {
            return Err(broken(NOT_MAPPED, "not-mapped"));
        }
        if layer != 0 || level != 0 {
            return Err(broken(INVALID_VALUE, "no-such-layer-or-level"));
        }
        array.put(resource.array)
    }
}

driver_call! {
    fn cuGraphicsResourceSetMapFlags_v2(resource: Handle, flags: u32) {
        let driver = driver()?;
        current(&driver)?;
        match known(&driver, resource)? {
            one if one.mapped => Err(broken(ALREADY_MAPPED, "flags-set-while-mapped")),
            _ if flags > 2 => Err(broken(INVALID_VALUE, "map-flags")),
            _ => Ok(()),
        }
    }
}

driver_call! {
    fn cuGraphicsUnregisterResource(resource: Handle) {
        let mut driver = driver()?;
        current(&driver)?;
        let one = known(&driver, resource)?;
        gl_of(one)?;
        if one.mapped {
            return Err(broken(ALREADY_MAPPED, "unregistered-while-mapped"));
        }
        let array = one.array;
        driver.graphics.remove(&resource);
        driver.arrays.remove(&array);
        Ok(())
    }
}
