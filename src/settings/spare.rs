//! Whether a worker keeps a process ready for its next reader, and for how long.

use super::named::Named;
use super::time;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Whether a process is kept ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spare {
    #[default]
    Auto,
    On,
    Off,
}

impl Spare {
    /// A start that takes longer is one that a reader notices.
    const SLOW: Duration = Duration::from_millis(300);

    /// Whether one is kept, where a start took so long and a GPU draws or encodes. Software starts quickly on a machine
    /// that has time, and on one that has none a process more would only make the others slower.
    pub fn is_kept(self, start: Duration, on_gpu: bool) -> bool {
        match self {
            Self::Auto => on_gpu && start > Self::SLOW,
            Self::On => true,
            Self::Off => false,
        }
    }
}

impl Named for Spare {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Auto, "auto", "Where a start on a GPU takes over 0.3 s"),
        (Self::On, "on", ""),
        (Self::Off, "off", ""),
    ];
}

/// For how long one is kept that nobody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpareIdle(Duration);

impl SpareIdle {
    const LEGAL_TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    const LEGAL: &'static str = "must be a time from 1s to 24h, as 30s, 5m or 2h";

    /// The time.
    pub fn time(self) -> Duration {
        self.0
    }
}

impl Default for SpareIdle {
    /// Five minutes: who comes back to a page does so within them, and ten spares hold 3 GB of a GPU's memory until then.
    fn default() -> Self {
        Self(Duration::from_secs(300))
    }
}

impl FromStr for SpareIdle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = time::parse(text, &[("s", 1000), ("m", 60_000), ("h", 3_600_000)]);
        time.filter(|time| Self::LEGAL_TIMES.contains(time)).map(Self).ok_or_else(|| Self::LEGAL.to_owned())
    }
}

/// In the form in which it is read.
impl fmt::Display for SpareIdle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds if seconds % 3600 == 0 => write!(f, "{}h", seconds / 3600),
            seconds if seconds % 60 == 0 => write!(f, "{}m", seconds / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_kept_by_itself_where_a_gpu_takes_its_time() {
        let ms = Duration::from_millis;
        assert!(Spare::Auto.is_kept(ms(301), true));
        assert!(!Spare::Auto.is_kept(ms(300), true) && !Spare::Auto.is_kept(ms(2000), false));
        assert!(Spare::On.is_kept(ms(1), false) && !Spare::Off.is_kept(ms(2000), true));
    }

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("5m", 300), ("2h", 7200), ("24h", 86_400)] {
            let idle: SpareIdle = text.parse().unwrap();
            assert_eq!((idle.time().as_secs(), idle.to_string().as_str()), (seconds, text));
        }
        assert_eq!("120s".parse::<SpareIdle>().unwrap().to_string(), "2m");
        assert_eq!(SpareIdle::default().to_string(), "5m");
        for text in ["", "s", "0s", "5", "-5m", "25h", "1d", "1.5m", "5 m", "99999999999999999999h", "5ms"] {
            assert!(text.parse::<SpareIdle>().is_err(), "{text}");
        }
    }
}
