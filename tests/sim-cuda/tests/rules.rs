//! Every rule of the CUDA driver that the path can break is refused with the driver's status.

#[path = "../../support/rig/cuda.rs"]
mod cuda;
#[path = "../../support/rig/egl.rs"]
mod egl;
#[path = "../../support/rig/process.rs"]
mod process;
#[path = "../../support/sim.rs"]
mod sim;

use cuda::*;
use egl::Context;
use glow::HasContext;
use process::scenes;

const TEXTURE_2D: u32 = 0x0DE1;
const SIZE: (u32, u32) = (37, 11);

fn registered(texture: glow::Texture) -> (u32, usize) {
    let mut resource = 0;
    (cuGraphicsGLRegisterImage(&mut resource, texture.0.get(), TEXTURE_2D, 1), resource)
}

fn pixels(bytes: u32) -> Vec<u8> {
    (0..SIZE.0 * SIZE.1 * bytes).map(|number| (number * 7) as u8).collect()
}

fn without_a_context() {
    let (mut number, mut handle) = (0, 0);
    assert_eq!(cuDeviceGetCount(&mut number), 3, "before cuInit");
    assert_eq!(cuMemAlloc_v2(&mut handle, 16), 3);
    assert_eq!(cuInit(1), 1);
    assert_eq!(cuInit(0), 0);
    assert_eq!(cuMemAlloc_v2(&mut handle, 16), 201, "no CUDA context current");
    assert_eq!(cuCtxPopCurrent_v2(&mut handle), 201);
    assert_eq!(cuCtxSetCurrent(0x1234), 201);
    assert_eq!(cuDevicePrimaryCtxRelease_v2(0), 201, "never retained");
    assert_eq!(cuDeviceGet(&mut number, 1), 101);
    let context = start();
    let mut current = 0;
    assert_eq!((cuCtxGetCurrent(&mut current), current), (0, context));
    let elsewhere = std::thread::spawn(|| {
        let mut handle = 0;
        cuMemAlloc_v2(&mut handle, 16)
    });
    assert_eq!(elsewhere.join().expect("a thread"), 201, "current on another thread only");
    assert_eq!(cuMemAlloc_v2(&mut handle, 16), 0);
    assert_eq!(cuDevicePrimaryCtxRelease_v2(0), 0);
    assert_eq!(cuMemFree_v2(handle), 709, "the context has ended");
    assert_eq!(cuLaunchKernel(), 801);
    let mut name = std::ptr::null();
    assert_eq!(cuGetErrorName(219, &mut name), 0);
    // SAFETY: the driver gave a C string that it never frees.
    let name = unsafe { std::ffi::CStr::from_ptr(name) };
    assert_eq!(name.to_str(), Ok("CUDA_ERROR_INVALID_GRAPHICS_CONTEXT"));
}

#[test]
fn nothing_goes_without_a_cuda_context_on_the_thread() {
    scenes!(without_a_context);
    let ended = process::run("without_a_context", "context", &[]);
    assert_eq!(ended.assert_passed().report.count("leak.allocations"), 1);
}

fn textures() {
    let context = start();
    let (mut count, mut devices) = (0, [0; 4]);
    assert_eq!(cuGLGetDevices_v2(&mut count, &mut devices, 4, 1), 219, "no GL context current");
    let gl = Context::new();
    assert_eq!(cuGLGetDevices_v2(&mut count, &mut devices, 4, 1), 0);
    assert_eq!((count, devices[0]), (1, 0));

    let refused = |internal: u32| registered(gl.texture(internal, SIZE, Some(&[]))).0;
    assert_eq!(refused(glow::RGB8), 1, "three channels");
    assert_eq!(refused(glow::DEPTH_COMPONENT24), 1);
    assert_eq!(registered(gl.texture(glow::R8, SIZE, None)).0, 1, "no storage");
    let texture = gl.texture(glow::R8, SIZE, Some(&pixels(1)));
    let mut resource = 0;
    assert_eq!(cuGraphicsGLRegisterImage(&mut resource, 9999, TEXTURE_2D, 1), 1, "no such texture");
    assert_eq!(cuGraphicsGLRegisterImage(&mut resource, texture.0.get(), 0x806F, 1), 1, "another target");
    assert_eq!(cuGraphicsGLRegisterImage(&mut resource, texture.0.get(), TEXTURE_2D, 0x40), 1, "flags");
    assert_eq!(cuCtxSetCurrent(0), 0);
    assert_eq!(registered(texture).0, 201);
    assert_eq!(cuCtxSetCurrent(context), 0);
    gl.release();
    assert_eq!(registered(texture).0, 219, "no GL context current");
    gl.make_current();

    let (status, resource) = registered(texture);
    assert_eq!(status, 0);
    let one = [resource, 0];
    let mut array = 0;
    assert_eq!(cuGraphicsSubResourceGetMappedArray(&mut array, resource, 0, 0), 211, "not mapped");
    assert_eq!(cuGraphicsUnmapResources(1, &one, 0), 211);
    assert_eq!(cuGraphicsMapResources(0, &one, 0), 1);
    assert_eq!(cuGraphicsMapResources(1, &[7, 0], 0), 400);
    assert_eq!(cuGraphicsMapResources(2, &[resource, resource], 0), 400, "listed twice");
    gl.release();
    assert_eq!(cuGraphicsMapResources(1, &one, 0), 219);
    gl.make_current();
    assert_eq!(cuGraphicsMapResources(1, &one, 0), 0);
    assert_eq!(cuGraphicsMapResources(1, &one, 0), 208, "mapped twice");
    assert_eq!(cuGraphicsUnregisterResource(resource), 208, "unregistered while mapped");
    assert_eq!(cuGraphicsSubResourceGetMappedArray(&mut array, resource, 1, 0), 1);
    assert_eq!(cuGraphicsSubResourceGetMappedArray(&mut array, resource, 0, 0), 0);
    assert_eq!(cuArrayDestroy(array), 400, "not the caller's array");
    let mut out = vec![0; pixels(1).len()];
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    let mut copy = Copy2d {
        src_type: ARRAY,
        src_array: array,
        dst_type: HOST,
        dst_host: out.as_mut_ptr() as usize,
        dst_pitch: width,
        width,
        height,
        ..Copy2d::default()
    };
    assert_eq!(cuMemcpy2D_v2(&copy), 0);
    assert!(out == pixels(1), "the pixels that were drawn");
    copy.src_y = 1;
    assert_eq!(cuMemcpy2D_v2(&copy), 1, "outside the array");
    copy.src_y = 0;
    assert_eq!(cuGraphicsUnmapResources(1, &one, 0), 0);
    assert_eq!(cuMemcpy2D_v2(&copy), 400, "no longer mapped");

    // A texture that is deleted while registered shows its last pixels, and nothing crashes.
    // SAFETY: the context is current on this thread.
    unsafe { gl.gl.delete_texture(texture) };
    assert_eq!(cuGraphicsMapResources(1, &one, 0), 0);
    out.fill(0);
    assert_eq!(cuMemcpy2D_v2(&copy), 0);
    assert!(out == pixels(1));
    assert_eq!(cuGraphicsUnmapResources(1, &one, 0), 0);
    gl.make_other_current();
    assert_eq!(cuGraphicsUnregisterResource(resource), 219, "another GL context");
    gl.make_current();
    assert_eq!(cuGraphicsUnregisterResource(resource), 0);
    assert_eq!(cuGraphicsUnregisterResource(resource), 400);
    assert_eq!(cuDevicePrimaryCtxRelease_v2(0), 0);
}

#[test]
fn textures_are_registered_and_mapped_by_the_rules() {
    scenes!(textures);
    let ended = process::run("textures", "textures", &[]);
    ended.assert_passed();
    assert!(ended.report.all("live.").is_empty() && ended.report.all("leak.").is_empty());
    assert_eq!(ended.report.count("mapped_after_deletion"), 1);
    assert_eq!(ended.report.count("violation.cuGraphicsMapResources.mapped-twice"), 1);
}

fn gl_state() {
    start();
    let gl = Context::new();
    let watched = gl.texture(glow::R8, (4, 4), Some(&[]));
    let texture = gl.texture(glow::RGBA8, SIZE, Some(&pixels(4)));
    let pack = [
        (glow::PACK_ALIGNMENT, 8),
        (glow::PACK_ROW_LENGTH, 99),
        (glow::PACK_SKIP_ROWS, 3),
        (glow::PACK_SKIP_PIXELS, 2),
    ];
    // SAFETY: the context is current on this thread in all of this function.
    let buffer = unsafe {
        gl.gl.bind_texture(TEXTURE_2D, Some(watched));
        let buffer = gl.gl.create_buffer().expect("a buffer");
        gl.gl.bind_buffer(glow::PIXEL_PACK_BUFFER, Some(buffer));
        for (name, value) in pack {
            gl.gl.pixel_store_i32(name, value);
        }
        buffer
    };
    let (status, resource) = registered(texture);
    assert_eq!(status, 0);
    assert_eq!(cuGraphicsMapResources(1, &[resource, 0], 0), 0);
    // SAFETY: as above.
    unsafe {
        for (name, value) in pack {
            assert_eq!(gl.gl.get_parameter_i32(name), value);
        }
        assert_eq!(gl.gl.get_parameter_i32(0x8069) as u32, watched.0.get(), "the texture binding");
        assert_eq!(gl.gl.get_parameter_i32(0x88ED) as u32, buffer.0.get(), "the pack buffer");
        assert_eq!(gl.gl.get_error(), 0);
    }
    let mut array = 0;
    assert_eq!(cuGraphicsSubResourceGetMappedArray(&mut array, resource, 0, 0), 0);
    let mut descriptor = ArrayDescriptor::default();
    assert_eq!(cuArray3DGetDescriptor_v2(&mut descriptor, array), 0);
    assert_eq!((descriptor.width, descriptor.height, descriptor.channels, descriptor.format), (37, 11, 4, 1));
    let mut row = [0_u8; 37 * 4];
    let copy = Copy2d {
        src_type: ARRAY,
        src_array: array,
        src_y: 10,
        dst_type: HOST,
        dst_host: row.as_mut_ptr() as usize,
        dst_pitch: row.len(),
        width: row.len(),
        height: 1,
        ..Copy2d::default()
    };
    assert_eq!(cuMemcpy2D_v2(&copy), 0);
    assert_eq!(row[..], pixels(4)[10 * 37 * 4..]);
}

#[test]
fn a_map_leaves_the_gl_state_as_it_was() {
    scenes!(gl_state);
    process::run("gl_state", "state", &[]).assert_passed();
}

fn copies() {
    start();
    let (mut memory, mut pitch) = (0, 0);
    assert_eq!(cuMemAllocPitch_v2(&mut memory, &mut pitch, 100, 10, 3), 1, "element size");
    assert_eq!(cuMemAllocPitch_v2(&mut memory, &mut pitch, 100, 0, 4), 1);
    assert_eq!(cuMemAllocPitch_v2(&mut memory, &mut pitch, 100, 10, 4), 0);
    assert_eq!(pitch, std::env::var("SCENE_PITCH").expect("the parent").parse::<usize>().expect("a number"));
    let from: Vec<u8> = (0..1000).map(|number| (number % 251) as u8).collect();
    let mut to = vec![0_u8; 1000];
    let up = Copy2d {
        src_type: HOST,
        src_host: from.as_ptr() as usize,
        src_pitch: 100,
        dst_type: DEVICE,
        dst_device: memory,
        dst_pitch: pitch,
        width: 100,
        height: 10,
        ..Copy2d::default()
    };
    let down = Copy2d {
        src_type: DEVICE,
        src_device: memory,
        src_pitch: pitch,
        src_x: 10,
        src_y: 2,
        dst_type: HOST,
        dst_host: to.as_mut_ptr() as usize,
        dst_pitch: 50,
        dst_x: 5,
        dst_y: 1,
        width: 40,
        height: 8,
        ..Copy2d::default()
    };
    assert_eq!((cuMemcpy2D_v2(&up), cuMemcpy2D_v2(&down)), (0, 0));
    for (row, y) in (2..10).enumerate() {
        assert_eq!(to[(row + 1) * 50 + 5..][..40], from[y * 100 + 10..][..40]);
    }
    assert_eq!(to[..55], [0; 55], "nothing before the offset");
    assert_eq!(cuMemcpy2D_v2(&Copy2d { src_y: 3, ..down }), 1, "beyond the allocation");
    assert_eq!(cuMemcpy2D_v2(&Copy2d { dst_device: memory + (1 << 40), ..up }), 1);
    assert_eq!(cuMemcpy2D_v2(&Copy2d { dst_pitch: 99, ..up }), 1, "pitch below width");
    assert_eq!(cuMemcpy2D_v2(&Copy2d { src_type: 9, ..up }), 1);
    assert_eq!(cuMemcpy2D_v2(&Copy2d { src_host: 0, ..up }), 1);
    assert_eq!(cuMemcpy2DAsync_v2(&up, 0x99), 400, "no such stream");
    let host = from.as_ptr() as usize;
    assert_eq!(cuMemcpyHtoD_v2(memory, host, from.len()), 0);
    let line = Copy2d { src_x: 0, src_y: 0, dst_x: 0, dst_y: 0, dst_pitch: 1000, width: 1000, height: 1, ..down };
    assert_eq!((cuMemcpy2D_v2(&line), &to), (0, &from), "in one line, whatever the pitch");
    assert_eq!(cuMemcpyHtoD_v2(memory + 10 * pitch - 999, host, 1000), 1, "beyond the allocation");
    assert_eq!(cuMemcpyHtoD_v2(memory - 1, host, 1000), 1, "before the allocation");
    assert_eq!(cuMemcpyHtoD_v2(memory, 0, 1000), 1);
    assert_eq!(cuMemFree_v2(memory + 1), 1);
    assert_eq!(cuMemFree_v2(memory), 0);
    assert_eq!(cuMemFree_v2(memory), 1, "freed twice");
    assert_eq!(cuDevicePrimaryCtxRelease_v2(0), 0);
}

#[test]
fn copies_keep_to_the_bounds_of_both_ends() {
    scenes!(copies);
    for (rule, pitch) in [("512", "512"), ("4", "100"), ("32+4", "132")] {
        let settings = [("MB_SIM_PITCH_ALIGN", rule), ("SCENE_PITCH", pitch)];
        process::run("copies", rule, &settings).assert_passed();
    }
}

fn lost() {
    start();
    let (mut first, mut second, mut name) = (0, 0, std::ptr::null());
    assert_eq!(cuMemAlloc_v2(&mut first, 16), 0);
    let status = cuMemAlloc_v2(&mut second, 16);
    assert_eq!(status.to_string(), std::env::var("SCENE_STATUS").expect("the parent"));
    let stays = std::env::var("SCENE_STAYS").is_ok();
    let then = if stays { status } else { 0 };
    assert_eq!(cuMemAlloc_v2(&mut second, 16), then);
    assert_eq!(cuMemFree_v2(first), then);
    assert_eq!(cuGetErrorName(status, &mut name), 0, "its name is told all the same");
    assert_eq!((cuInit(0), cuDevicePrimaryCtxRelease_v2(0)), (then, then));
}

#[test]
fn the_process_does_not_get_over_some_errors() {
    scenes!(lost);
    for (status, stays) in [226, 700, 702, 714, 715, 716, 717, 718, 719, 721, 911]
        .map(|status| (status, true))
        .into_iter()
        .chain([(999, false), (2, false)])
    {
        let (name, order) = (status.to_string(), format!("cuda:cuMemAlloc_v2:{status}@1"));
        let mut settings = vec![("MB_SIM_FAULT", order.as_str()), ("SCENE_STATUS", &name)];
        settings.extend(stays.then_some(("SCENE_STAYS", "1")));
        let ended = process::run("lost", &name, &settings);
        ended.assert_passed();
        let asked = ended.report.all("after_loss.").len();
        assert_eq!(asked, if stays { 4 } else { 0 }, "{status}: {:?}", ended.report);
    }
}

/// What the driver says about devices: `cuInit`, and each device's bus id; then the drawing one.
fn devices() {
    let mut told = format!("{}", cuInit(0));
    let (mut number, mut text) = (0, [0_u8; 64]);
    if cuDeviceGetCount(&mut number) == 0 {
        for device in 0..number {
            assert_eq!(cuDeviceGetPCIBusId(&mut text, 64, device), 0);
            told += &format!(" {}", String::from_utf8_lossy(&text[5..7]));
        }
        let _gl = Context::new();
        let (mut count, mut devices) = (0, [-1; 4]);
        let status = cuGLGetDevices_v2(&mut count, &mut devices, 4, 1);
        told += &format!(" gl {status} {}", devices[0]);
    }
    std::fs::write(process::scene_folder().join("told"), told).expect("a file");
}

#[test]
fn devices_are_those_ordered_and_made_visible() {
    scenes!(devices);
    for (name, settings, expected) in [
        ("one", &[][..], "0 01 gl 0 0"),
        ("three", &[("MB_SIM_DEVICES", "3"), ("MB_SIM_GL_DEVICE", "2")], "0 01 02 03 gl 0 2"),
        (
            "chosen",
            &[("MB_SIM_DEVICES", "3"), ("CUDA_VISIBLE_DEVICES", "2,0"), ("MB_SIM_GL_DEVICE", "2")],
            "0 03 01 gl 0 0",
        ),
        ("hidden", &[("MB_SIM_DEVICES", "2"), ("CUDA_VISIBLE_DEVICES", "1")], "0 02 gl 100 -1"),
        ("cut", &[("MB_SIM_DEVICES", "3"), ("CUDA_VISIBLE_DEVICES", "1,7,0")], "0 02 gl 100 -1"),
        (
            "uuid",
            &[("MB_SIM_DEVICES", "2"), ("CUDA_VISIBLE_DEVICES", "GPU-73696d75-6c61-7465-642d-677075000001")],
            "0 02 gl 100 -1",
        ),
        ("empty", &[("CUDA_VISIBLE_DEVICES", "")], "100"),
        ("minus", &[("CUDA_VISIBLE_DEVICES", "-1")], "100"),
        ("zero", &[("MB_SIM_DEVICES", "0")], "100"),
        ("mesa", &[("MB_SIM_GL_DEVICE", "none")], "0 01 gl 219 -1"),
    ] {
        let ended = process::run("devices", name, settings);
        ended.assert_passed();
        let told = std::fs::read_to_string(ended.folder.join("told")).expect("the scene's file");
        assert_eq!(told, expected, "{name}");
    }
}
