//! Options whose values are whole numbers between two others.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Parses a number in `range`, and says what it has to be where it is none.
pub fn within<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_answered_as_one_out_of_range() {
        let parse = within(1..=64u16);
        assert_eq!([parse("1"), parse("64")], [Ok(1), Ok(64)]);
        for wrong in ["0", "65", "-1", "65537", "1.5", "", "many"] {
            assert_eq!(parse(wrong), Err("must be a whole number from 1 to 64".to_owned()), "{wrong}");
        }
    }
}
