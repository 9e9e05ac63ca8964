//! Devices: how many there are, which are visible, what they are called and what they can.
//!
//! The *machine's number* of a device never changes; its *ordinal* is its place among the visible
//! ones. Everything about a device follows from its machine's number, so a test can predict it.

use crate::caller::Out;
use crate::driver::driver;
use crate::status::{INVALID_DEVICE, INVALID_VALUE, Refusal, broken};
use sim_ledger::setting;

fn uuid_bytes(number: u32) -> [u8; 16] {
    let mut bytes = *b"simulated-gpu\0\0\0";
    bytes[15] = number as u8;
    bytes
}

/// The text form, as `nvidia-smi -L` prints it and `CUDA_VISIBLE_DEVICES` takes it.
fn uuid_text(number: u32) -> String {
    let mut text = String::from("GPU-");
    for (index, byte) in uuid_bytes(number).iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn pci_bus(number: u32) -> u32 {
    number + 1
}

/// The machine's numbers of the devices that `CUDA_VISIBLE_DEVICES` leaves, in its order. As in the
/// real driver, the first entry that names no device hides itself and all that follow.
pub(crate) fn visible() -> Vec<u32> {
    let count = count();
    // Set but empty means "none", so `setting::text` is not the right reader here.
    let Ok(chosen) = std::env::var("CUDA_VISIBLE_DEVICES") else {
        return (0..count).collect();
    };
    let mut visible = Vec::new();
    for entry in chosen.split(',').map(str::trim) {
        let device = match entry.strip_prefix("GPU-") {
            Some(_) => (0..count).find(|number| uuid_text(*number).starts_with(entry)),
            None => entry.parse().ok().filter(|number| *number < count),
        };
        match device {
            Some(device) if !visible.contains(&device) => visible.push(device),
            Some(_) => return Vec::new(),
            None => break,
        }
    }
    visible
}

/// How many devices the machine has at this moment.
fn count() -> u32 {
    match setting::text(setting::DEVICES).filter(|value| value.starts_with('/')) {
        Some(file) => std::fs::read_to_string(&file)
            .ok()
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or_else(|| panic!("{}={file}: expected a number in it", setting::DEVICES)),
        None => setting::number(setting::DEVICES, 1) as u32,
    }
}

/// The machine's number of the device that OpenGL draws with.
pub(crate) fn drawing() -> Option<u32> {
    if setting::text(setting::EGL_DEVICES).is_some() {
        return crate::vendor::drawing();
    }
    (!setting::is(setting::GL_DEVICE, "none")).then(|| setting::number(setting::GL_DEVICE, 0) as u32)
}

fn number(ordinal: i32) -> Result<u32, Refusal> {
    let driver = driver()?;
    usize::try_from(ordinal)
        .ok()
        .and_then(|ordinal| driver.devices.get(ordinal).copied())
        .ok_or(broken(INVALID_DEVICE, "unknown-device"))
}

driver_call! {
    fn cuDeviceGetCount(count: Out<i32>) {
        let devices = driver()?.devices.len();
        count.put(devices as i32)
    }
}

driver_call! {
    fn cuDeviceGet(device: Out<i32>, ordinal: i32) {
        number(ordinal)?;
        device.put(ordinal)
    }
}

driver_call! {
    fn cuDeviceGetName(name: Out<u8>, size: i32, device: i32) {
        name.put_text(&format!("Simulated GPU {}", number(device)?), size)
    }
}

driver_call! {
    fn cuDeviceGetUuid(uuid: Out<[u8; 16]>, device: i32) { uuid.put(uuid_bytes(number(device)?)) }
}

driver_call! {
    fn cuDeviceGetUuid_v2(uuid: Out<[u8; 16]>, device: i32) { uuid.put(uuid_bytes(number(device)?)) }
}

driver_call! {
    fn cuDeviceGetPCIBusId(text: Out<u8>, size: i32, device: i32) {
        text.put_text(&format!("0000:{:02X}:00.0", pci_bus(number(device)?)), size)
    }
}

driver_call! {
    fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: i32) {
        number(device)?;
        bytes.put(8 << 30)
    }
}

/// Major and minor.
fn capability(number: u32) -> (i32, i32) {
    let told = setting::text(setting::CAPABILITY).unwrap_or_else(|| "8.6".to_owned());
    let parse = || {
        let all = told.split(',').collect::<Vec<_>>();
        let (major, minor) = all[number as usize % all.len()].split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    parse().unwrap_or_else(|| panic!("{}={told}: expected 9.0, or 9.0,8.9", setting::CAPABILITY))
}

driver_call! {
    fn cuDeviceComputeCapability(major: Out<i32>, minor: Out<i32>, device: i32) {
        let (of_this, below) = capability(number(device)?);
        major.put(of_this)?;
        minor.put(below)
    }
}

driver_call! {
    fn cuDeviceGetAttribute(value: Out<i32>, attribute: u32, device: i32) {
        let number = number(device)?;
        value.put(match attribute {
            0 | 148.. => return Err(broken(INVALID_VALUE, "unknown-attribute")),
            1 => 1024,                      // MAX_THREADS_PER_BLOCK
            10 => 32,                       // WARP_SIZE
            13 => 1_700_000,                // CLOCK_RATE, kHz
            16 => 28,                       // MULTIPROCESSOR_COUNT
            33 => pci_bus(number) as i32,   // PCI_BUS_ID
            34 | 50 => 0,                   // PCI_DEVICE_ID, PCI_DOMAIN_ID
            40 | 41 => 1,                   // ASYNC_ENGINE_COUNT, UNIFIED_ADDRESSING
            75 => capability(number).0,     // COMPUTE_CAPABILITY_MAJOR
            76 => capability(number).1,     // COMPUTE_CAPABILITY_MINOR
            _ => 0,
        })
    }
}
