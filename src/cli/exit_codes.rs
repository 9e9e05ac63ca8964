//! Exit codes, and what has to have happened before one is returned.

use std::time::Duration;

/// A failure while running.
pub const FAILED: u8 = 1;
/// Wrong use or input.
pub const WRONG_USE: u8 = 2;
/// go2rtc tells a viewer what it has read of standard error at the moment when standard output ends. So there is this
/// much time between the two.
pub const TO_BE_READ: Duration = Duration::from_millis(50);
