//! What EGL's drivers say of themselves: every string of the client, of each device and of each display, as they come.
//!
//! For finding out about a driver that nobody here has seen. It decides nothing, and no stream asks for it.

use super::display::Display;
use super::egl::{DeviceQueries, Library, PLATFORM_DEVICE, PLATFORM_SURFACELESS, has, load};
use crate::error::Error;
use khronos_egl as egl;
use std::ffi::c_void;
use std::time::Instant;

/// What a device can be asked for, and the extension that has it.
const OF_DEVICE: [(&str, egl::Int, &str); 5] = [
    ("vendor", egl::VENDOR, "EGL_EXT_device_query_name"),
    ("renderer", 0x335F, "EGL_EXT_device_query_name"),
    ("driver", 0x335E, "EGL_EXT_device_persistent_id"),
    ("card", 0x3233, "EGL_EXT_device_drm"),
    ("render node", 0x3377, "EGL_EXT_device_drm_render_node"),
];

/// One thing that was asked, with what it said: names and texts, in the order of asking.
pub type Said = (String, Vec<(&'static str, String)>);

/// Asks libEGL without a display, then each device and its display, and the display without a device.
///
/// # Errors
/// There is no libEGL.
pub fn strings() -> Result<Vec<Said>, Error> {
    let library = load()?;
    let mut said = vec![("without a display".to_owned(), of_display(&library, None))];
    let client = library.query_string(None, egl::EXTENSIONS).map(|text| text.to_string_lossy().into_owned());
    let client = client.unwrap_or_default();
    let devices = devices(&library, &mut said);
    for (number, device) in devices.into_iter().enumerate() {
        said.push((format!("display of device {number}"), opened(&library, PLATFORM_DEVICE, device)));
    }
    if has(&client, "EGL_MESA_platform_surfaceless") {
        said.push((
            "display without a device".to_owned(),
            opened(&library, PLATFORM_SURFACELESS, egl::DEFAULT_DISPLAY),
        ));
    }
    Ok(said)
}

/// Every device that is listed, whether an extension says that there is a list or not, and what each says.
fn devices(library: &Library, said: &mut Vec<Said>) -> Vec<*mut c_void> {
    let mut none = |why| {
        said.push(("devices".to_owned(), vec![("list", why)]));
        Vec::new()
    };
    let Some(queries) = DeviceQueries::of(library) else { return none("there is no eglQueryDevicesEXT".to_owned()) };
    let Some(handles) = queries.handles() else {
        let why = library.get_error().map_or_else(|| "no reason".to_owned(), |error| error.to_string());
        return none(format!("eglQueryDevicesEXT fails: {why}"));
    };
    for (number, &handle) in handles.iter().enumerate() {
        let extensions = queries.text(handle, egl::EXTENSIONS);
        let mut its = vec![("extensions", extensions.clone().unwrap_or_else(|| "no answer".to_owned()))];
        let extensions = extensions.unwrap_or_default();
        for (what, name, extension) in OF_DEVICE {
            if has(&extensions, extension) {
                its.push((what, queries.text(handle, name).unwrap_or_else(|| "no answer".to_owned())));
            }
        }
        its.extend(queries.cuda_ordinal(handle, &extensions).map(|number| ("CUDA device", number.to_string())));
        said.push((format!("device {number}"), its));
    }
    handles
}

/// Opens a display, asks it, and closes it again. `native` is a device that EGL has listed, or the default.
fn opened(library: &Library, platform: egl::Enum, native: *mut c_void) -> Vec<(&'static str, String)> {
    // SAFETY: `native` is what the platform takes, as said above, and the attribute list ends with EGL_NONE.
    let display = match unsafe { library.get_platform_display(platform, native, &[egl::ATTRIB_NONE]) } {
        Ok(display) => display,
        Err(why) => return vec![("eglGetPlatformDisplay", why.to_string())],
    };
    let began = Instant::now();
    let _initialized = match Display::initialize(library, display) {
        Ok((initialized, _)) => initialized,
        Err(why) => return vec![("eglInitialize", why.to_string())],
    };
    let took = began.elapsed();
    let mut said = vec![("eglInitialize", format!("{:.1} ms", took.as_secs_f64() * 1e3))];
    said.extend(of_display(library, Some(display)));
    said
}

fn of_display(library: &Library, display: Option<egl::Display>) -> Vec<(&'static str, String)> {
    let names = [
        ("vendor", egl::VENDOR),
        ("version", egl::VERSION),
        ("client APIs", egl::CLIENT_APIS),
        ("extensions", egl::EXTENSIONS),
    ];
    // Without a display, EGL has only these two.
    let asked =
        names.into_iter().filter(|(_, name)| display.is_some() || [egl::VERSION, egl::EXTENSIONS].contains(name));
    asked
        .map(|(what, name)| match library.query_string(display, name) {
            Ok(text) => (what, text.to_string_lossy().into_owned()),
            Err(why) => (what, format!("no answer: {why}")),
        })
        .collect()
}
