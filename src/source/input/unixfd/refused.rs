//! What a person has to change in the pipeline of a producer whose pictures cannot be read.

use super::caps::Refused;
use super::connection::Address;
use super::device_format::DeviceFormat;
use crate::error::Error;

/// For caps that cannot be read.
pub fn error(address: &Address, why: &Refused) -> Error {
    match why {
        Refused::Memory(name) => Error::input(
            "unixfd-memory",
            format!("the producer at {address} sends frames of {name}, which only a library reads"),
            TO_ORDINARY_MEMORY,
        ),
        Refused::Device(format) => Error::input(
            "unixfd-dmabuf",
            format!("the producer at {address} sends frames of a device (DMABuf) in the format {format:?}"),
            TO_ORDINARY_MEMORY,
        ),
        Refused::Type(name) => Error::input(
            "unixfd-format",
            format!("the producer at {address} sends {name:?}, not raw video"),
            "decode it in the pipeline: … ! decodebin ! videoconvert ! video/x-raw,format=I420 ! unixfdsink …",
        ),
        Refused::Format(format) => Error::input(
            "unixfd-format",
            format!("the producer at {address} sends frames in the format {format:?}"),
            "convert them in the pipeline: … ! videoconvert ! video/x-raw,format=I420 ! unixfdsink …\n\
             These are read: I420, NV12, RGBA, BGRA, RGBx, BGRx, RGB, BGR, GRAY8, Y42B, Y444",
        ),
        Refused::Size(size) => Error::input(
            "unixfd-format",
            format!("the producer at {address} sends frames of {size} pixels"),
            "scale them in the pipeline: … ! videoscale ! video/x-raw,width=1280,height=720 ! unixfdsink …",
        ),
        Refused::Interlaced(mode) => Error::input(
            "unixfd-interlaced",
            format!("the producer at {address} sends interlaced frames ({mode})"),
            "make whole frames of them in the pipeline: … ! deinterlace ! unixfdsink …",
        ),
        Refused::Colorimetry(name) => Error::input(
            "unixfd-colorimetry",
            format!("the producer at {address} sends frames in the colorimetry {name}"),
            "convert them in the pipeline: … ! videoconvert ! video/x-raw,colorimetry=bt709 ! unixfdsink …",
        ),
    }
}

/// For memory of a device that this machine does not read, for these reasons.
pub fn device(address: &Address, format: DeviceFormat, reasons: &[String]) -> Error {
    Error::input(
        "unixfd-dmabuf",
        format!("cannot read the frames of a device (DMABuf, {format}) that the producer at {address} sends"),
        TO_ORDINARY_MEMORY,
    )
    .caused_by(reasons.join("; "))
}

const TO_ORDINARY_MEMORY: &str = "copy them to ordinary memory in the pipeline: … ! videoconvert ! video/x-raw,format=I420 ! unixfdsink …\n\
     behind GL, gldownload comes first; behind VA, vapostproc; behind CUDA, cudadownload";
