//! For how long a worker that is asked to stop goes on for those who watch.

use super::time;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A time, from none to a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linger(Duration);

impl Linger {
    const MOST: Duration = Duration::from_secs(60);
    const LEGAL: &'static str = "must be a time from 0s to 60s, as 1800ms or 2s";

    /// The time.
    pub fn time(self) -> Duration {
        self.0
    }
}

impl FromStr for Linger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = time::parse(text, &[("ms", 1), ("s", 1000)]);
        time.filter(|&time| time <= Self::MOST).map(Self).ok_or_else(|| Self::LEGAL.to_owned())
    }
}

/// In the form in which it is read.
impl fmt::Display for Linger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            millis if millis % 1000 == 0 => write!(f, "{}s", millis / 1000),
            millis => write!(f, "{millis}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, millis) in [("0s", 0), ("1ms", 1), ("1800ms", 1800), ("2s", 2000), ("60s", 60_000)] {
            let linger: Linger = text.parse().unwrap();
            assert_eq!((linger.time().as_millis(), linger.to_string().as_str()), (millis, text));
        }
        assert_eq!(Linger::default().to_string(), "0s");
        for text in ["", "s", "2", "-2s", "+2s", "61s", "60001ms", "1m", "1.5s", "2 s", "99999999999999999999s"] {
            assert!(text.parse::<Linger>().is_err(), "{text}");
        }
    }
}
