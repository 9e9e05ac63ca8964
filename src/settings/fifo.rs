//! The FIFO that readers come through.

use super::rate::parse_scaled;
use std::fmt;
use std::str::FromStr;

/// Permission bits of a new FIFO, octal, at least 0600: this process writes to it and, to wake itself, reads from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FifoMode(u32);

impl FifoMode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for FifoMode {
    /// Read and write for the owner, read for the group: who reads a stream is not to write into another reader's.
    fn default() -> Self {
        Self(0o640)
    }
}

impl FromStr for FifoMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        match u32::from_str_radix(digits, 8) {
            Ok(bits @ 0..=0o777) if bits & 0o600 == 0o600 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Self(bits))
            }
            _ => Err("must be octal permission bits from 0600 to 0777 with read and write for the owner, like 0640"
                .to_owned()),
        }
    }
}

impl fmt::Display for FifoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Capacity of a pipe in bytes, from 4k to 1M. Linux rounds it up to a power of two pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeSize(u32);

impl PipeSize {
    /// The capacity in bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }
}

impl FromStr for PipeSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parse_scaled(text, 1024.0) {
            Some(bytes @ 4096..=1_048_576) => Ok(Self(bytes)),
            _ => Err("must be from 4k to 1M bytes, as 256k or 262144".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifo_modes_and_pipe_sizes() {
        assert_eq!(FifoMode::default().to_string(), "0640");
        assert_eq!("0660".parse::<FifoMode>().unwrap().bits(), 0o660);
        assert_eq!("666".parse::<FifoMode>().unwrap().bits(), 0o666);
        for text in ["", "0888", "rw", "1777", "0o", "-660", "+660", "0060", "0440"] {
            assert!(text.parse::<FifoMode>().is_err(), "{text}");
        }
        assert_eq!("256k".parse::<PipeSize>().unwrap().bytes(), 262_144);
        for text in ["", "4095", "2M", "1.5M", "k"] {
            assert!(text.parse::<PipeSize>().is_err(), "{text}");
        }
    }
}
