//! Every environment variable that the simulated drivers read, in one place, and how it is read.
//!
//! A value that cannot be understood is a panic (an abort, at the C boundary): a test that asked for
//! a fault and did not get it would pass for the wrong reason. It never writes the environment.

/// Faults to show, separated by `,` or `;`. Each is `point:status`, with `@n` and `xk` after it.
///
/// A *point* of the encoder is a short name (`open initialize preset caps guids profiles formats
/// bitstream register map encode lock unlock unmap unregister reconfigure sequence streams destroy
/// instance max-version`) or `nvenc:NvEncLockBitstream`; of CUDA it is `cuda:cuInit`.
///
/// `open:2`: status 2 from every call. `open:2x3`: from the first three calls.
/// `encode:5@37`: status 5 from call 37 (the first is 0) of a session's life, in one life.
/// `encode:5@37x3`: in each of three lives. A CUDA call counts from the load of the library, and
/// again from its last fault: `cuda:cuGraphicsMapResources:999@12`.
///
/// Of the simulated EGL vendor, `egl:glReadPixels:33364@5` is a reset of the GPU of this kind (33363 guilty, 33364 innocent,
/// 33365 unknown) at call 5 of a context's life: from then on what is read from that context is zero, and a context that
/// was made to be told of a reset is told so, once. `glGetTexImage` is the other function that takes it.
///
/// After an ordered 3, 4, 5 or 20 at `encode`, `lock`, `unlock`, `map`, `unmap` or `register` the session is lost: each
/// later call that needs the device gives that status again, only releasing works. A call that gives something back has
/// given it back even where it fails as ordered.
///
/// A CUDA status that NVIDIA calls the end of the process (700 and its like, see `sim-cuda/src/lost.rs`) stays for the rest
/// of it: every later call returns the same and does nothing.
pub const FAULT: &str = "MB_SIM_FAULT";

/// A file that the first process makes that shows an ordered fault. In those that find it there no call fails; a program
/// that has replaced itself finds it as well.
pub const FAULT_ONCE: &str = "MB_SIM_FAULT_ONCE";

/// Calls that never return, separated by `,` or `;`: `nvEncLockBitstream@37` is the process's 37th call of that function
/// and each later one, `eglInitialize` the first. (A fault's number counts from 0, and in a session's life.)
///
/// A function is named as its C header names it, of the encoder by its entry in the function list or by its prototype.
/// Of CUDA it is what the library exports: `cuMemAllocPitch_v2`. Of EGL and GL it is whatever libEGL hands out, and it
/// hangs where the simulated EGL vendor is loaded, or the library whose GL draws nothing.
///
/// A process with such a call does not get through `exit` either. It leaves a line with `hang.<function>` in its report
/// before it hangs.
pub const HANG: &str = "MB_SIM_HANG";

/// Who hangs: `rehearsal`, `reader` and `spare` are the program's children of that role, the last one also once it has a
/// reader; `any` (unless told) everybody.
pub const HANG_ROLE: &str = "MB_SIM_HANG_ROLE";

/// A file that the first process makes that is to hang. In those that find it there, every call returns.
pub const HANG_ONCE: &str = "MB_SIM_HANG_ONCE";

/// How long a driver takes to come up, in milliseconds, as `cuInit=500,cuDevicePrimaryCtxRetain=200,eglInitialize=300`:
/// the first call of each of these functions in a process, and whoever else calls it meanwhile. Functions are named as for
/// [`HANG`], and likewise only those of EGL and GL that a library which is played here hands out take any time.
pub const START: &str = "MB_SIM_START";

/// Name of the function (as in the report, e.g. `cuInit` or `NvEncOpenEncodeSessionEx`) that aborts.
pub const CRASH: &str = "MB_SIM_CRASH";

/// File to which each driver appends its report, one flat JSON object a line. The last line of a
/// process and library counts; lines are written at exit and whenever a session or a context ends.
pub const REPORT: &str = "MB_SIM_REPORT";

/// `null` switches the pixel work off: maps and copies move nothing, pictures are tiny and valid. With `wait` the encoder
/// alone is like that, and waits for the work of CUDA's default stream as one does that encodes: for a real CUDA.
pub const ENCODE: &str = "MB_SIM_ENCODE";

/// So many rows of macroblocks are coded, the lowest ones; those above are grey. A 4K picture of I_PCM macroblocks alone
/// is larger than decoders take.
pub const ROWS: &str = "MB_SIM_ROWS";

/// Makes each access unit so many bytes longer, by a NAL unit of type 30, which decoders pass over: what the pictures
/// that `null` leaves out would have had.
pub const PICTURE_BYTES: &str = "MB_SIM_PICTURE_BYTES";

/// `2@4`: each session's picture 4 (the first is 0) has two slices, whatever was asked for.
pub const SLICES: &str = "MB_SIM_SLICES";

/// What `cuMemAllocPitch_v2` rounds a row up to, `512` unless told; `512+4` adds 4 bytes after that.
pub const PITCH_ALIGN: &str = "MB_SIM_PITCH_ALIGN";

/// `late`: an async copy on a non-blocking stream arrives only when that stream is synchronised.
pub const ASYNC: &str = "MB_SIM_ASYNC";

/// What `cuDriverGetVersion` answers, `12020` unless told.
pub const DRIVER_VERSION: &str = "MB_SIM_DRIVER_VERSION";

/// How many CUDA devices the machine has, 1 unless told, or the path of a file that says so: what is written there counts
/// from a process's `cuInit` on. `CUDA_VISIBLE_DEVICES` chooses among them.
pub const DEVICES: &str = "MB_SIM_DEVICES";

/// Compute capability of the devices, `8.6` unless told; more than one, for the machine's numbers in turn: `9.0,8.9`.
pub const CAPABILITY: &str = "MB_SIM_CAPABILITY";

/// Which of those devices draws (0 unless told): the answer of `cuGLGetDevices_v2`. `none`: OpenGL
/// does not run on an NVIDIA device (219).
pub const GL_DEVICE: &str = "MB_SIM_GL_DEVICE";

/// The devices that the simulated EGL vendor lists, in its order, as `1,software,0`: the machine's number of a GPU,
/// `software` for Mesa's renderer, `hidden` for a GPU that the process may not use, `broken:2` for a GPU whose displays
/// do not initialise, `once:2` for one where only the first does. Then the one whose display was opened last draws, and
/// [`GL_DEVICE`] is not read.
pub const EGL_DEVICES: &str = "MB_SIM_EGL_DEVICES";

/// What the simulated EGL vendor says of itself: `devices` is what NVIDIA's drivers say, EGL_EXT_device_base and
/// EGL_EXT_platform_device, and that no display is opened without a device; `surfaceless` says that one is, and it is the
/// first GPU's. Unless told, the vendor says what Mesa does, whose displays without a device it opens.
pub const EGL_CLAIMS: &str = "MB_SIM_EGL_CLAIMS";

/// `no`: the simulated EGL vendor lists no robust contexts and makes none; `ignored`: it makes them as any other.
pub const EGL_ROBUST: &str = "MB_SIM_EGL_ROBUST";

/// `import`: the simulated EGL vendor imports memory that a program shares, sealed or of a device, as images;
/// `modifiers`: in a layout of its own as well, 0x1d00000000000001, in which each byte is inverted. Unless told, what Mesa
/// imports is imported.
pub const DMA_BUF: &str = "MB_SIM_DMA_BUF";

/// The newest API the encoder driver speaks, `12.1` unless told. Below 12.1 it refuses every struct.
pub const NVENC_VERSION: &str = "MB_SIM_NVENC_VERSION";

/// Capabilities, e.g. `WIDTH_MAX=1920,SUPPORT_CUSTOM_VBV_BUF_SIZE=0` (or by number: `16=1920`). `LEVEL_MAX=refused` has
/// the driver answer with status 8 when it is asked for that one, `LEVEL_MAX=refused:12` with 12.
pub const CAPS: &str = "MB_SIM_CAPS";

/// Name of an entry of the encoder's function list, as nvEncodeAPI.h spells it, that is null.
pub const MISSING_SLOT: &str = "MB_SIM_MISSING_SLOT";

/// `hevc`: the encoder chip has that codec alone, and not H.264.
pub const CODEC: &str = "MB_SIM_CODEC";

/// How many sessions may be open at once; no limit unless told.
pub const SESSION_LIMIT: &str = "MB_SIM_SESSION_LIMIT";

/// GPUs that open no session, each with the status that says so, by the machine's number: `0:2,3:1`.
pub const REFUSING_DEVICES: &str = "MB_SIM_REFUSING_DEVICES";

/// The status beyond the limit: 21 unless told, 10 from older drivers.
pub const SESSION_STATUS: &str = "MB_SIM_SESSION_STATUS";

/// A folder of lock files that makes the limit hold for all processes that name it, as GeForce drivers' holds for the whole
/// system, over all GPUs. A process that is killed gives its sessions back.
pub const SESSION_DIR: &str = "MB_SIM_SESSION_DIR";

/// `1`: a failed open still hands out a handle, which has to be destroyed (some drivers do).
pub const FAILED_OPEN_HANDLE: &str = "MB_SIM_FAILED_OPEN_HANDLE";

/// The value of a variable, unless it is unset or empty.
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The number in a variable, or `default` where it is unset.
pub fn number(name: &str, default: u64) -> u64 {
    match text(name) {
        Some(value) => value.trim().parse().unwrap_or_else(|_| panic!("{name}={value}: expected a number")),
        None => default,
    }
}

/// Whether the variable has this very value.
pub fn is(name: &str, value: &str) -> bool {
    text(name).as_deref() == Some(value)
}
