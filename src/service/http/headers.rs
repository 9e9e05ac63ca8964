//! The headers of a request, of HTTP and of RTSP alike, as `httparse` has found them.

use super::accept::Accept;

/// Names in lower case, each with its value, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// `None` where a value is no text.
    pub fn of(parsed: &[httparse::Header<'_>]) -> Option<Self> {
        let text = |header: &httparse::Header<'_>| {
            let value = std::str::from_utf8(header.value).ok()?;
            Some((header.name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        parsed.iter().map(text).collect::<Option<_>>().map(Self)
    }

    /// The value of the header `name`, in lower case. Empty where there is none; `None` where there are several, of
    /// which one server would take the first and another the last.
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let first = values.next().unwrap_or_default();
        values.next().is_none().then_some(first)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// What the answer may be.
    pub fn accept(&self) -> Accept<'_> {
        Accept(self.0.iter().filter(|(name, _)| name == "accept").map(|(_, value)| value.as_str()).collect())
    }
}
