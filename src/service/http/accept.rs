//! The header Accept (RFC 9110, 12.5.1): which media types an answer may have, and which of them are liked better.

/// The values of all headers of this name.
#[derive(Clone, Debug)]
pub struct Accept<'a>(pub Vec<&'a str>);

impl Accept<'_> {
    /// How much a type such as `text/plain` is liked, in thousandths; 0 is not at all. The most specific range counts, and
    /// of several alike, which differ in parameters, the best.
    pub fn quality(&self, essence: &str) -> u16 {
        let ranges = self.0.iter().flat_map(|value| value.split(','));
        let fits = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let specific = specificity(parts.next().unwrap_or_default(), essence)?;
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            Some((specific, quality.map_or(1000, thousandths)))
        };
        if self.0.iter().all(|value| value.trim().is_empty()) {
            // Who says nothing takes anything.
            return 1000;
        }
        ranges.filter_map(fits).max().map_or(0, |(_, quality)| quality)
    }
}

/// How specific a range is that has `essence` in it.
fn specificity(range: &str, essence: &str) -> Option<u8> {
    let (kind, _) = essence.split_once('/')?;
    let (range_kind, range_rest) = range.split_once('/')?;
    match (range_kind, range_rest) {
        _ if range.eq_ignore_ascii_case(essence) => Some(2),
        (_, "*") if range_kind.eq_ignore_ascii_case(kind) => Some(1),
        ("*", "*") => Some(0),
        _ => None,
    }
}

/// A quality such as `0.5`. What is none counts as nothing.
fn thousandths(quality: &str) -> u16 {
    let quality: f32 = quality.trim().parse().unwrap_or(0.0);
    (quality.clamp(0.0, 1.0) * 1000.0).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_counts() {
        for (values, essence, quality) in [
            (&[][..], "text/plain", 1000),
            (&[""], "text/plain", 1000),
            (&["*/*"], "text/plain", 1000),
            (&["text/plain;q=0.2, text/*;q=0.5, */*;q=0.9"], "text/plain", 200),
            (&["text/plain;q=0.2, text/*;q=0.5, */*;q=0.9"], "text/html", 500),
            (&["text/plain;q=0.2, text/*;q=0.5, */*;q=0.9"], "a/b", 900),
            (&["text/plain;version=0.0.4;q=0.25,text/plain;version=1;q=0.125"], "text/plain", 250),
            (&["a/b", "TEXT/Plain; Q=0.1"], "text/plain", 100),
            (&["a/b"], "text/plain", 0),
            (&["text/plain;q=0"], "text/plain", 0),
            (&["text/plain;q=x, a/b;q=inf, a/b;q=-1"], "text/plain", 0),
            (&["*, ;;, /, text, text/"], "text/plain", 0),
        ] {
            assert_eq!(Accept(values.to_vec()).quality(essence), quality, "{values:?} {essence}");
        }
    }
}
