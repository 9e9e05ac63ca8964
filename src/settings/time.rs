//! Times as people write them: a whole number and its unit.

use std::time::Duration;

/// The time of a text that ends in one of `units`, each with its milliseconds. The first unit that fits counts, so one stands
/// in front of those that it ends in. `None` for anything else.
pub fn parse(text: &str, units: &[(&str, u64)]) -> Option<Duration> {
    let (number, millis) = units.iter().find_map(|&(unit, millis)| Some((text.strip_suffix(unit)?, millis)))?;
    // A sign would be parsed as well.
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| is_plain)?;
    number.checked_mul(millis).map(Duration::from_millis)
}
