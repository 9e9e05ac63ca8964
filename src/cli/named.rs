//! Options whose values are one of a few names: the one place where [`Named`] meets clap.

use crate::settings::Named;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Parses one of the names, and lists them in the help and in errors.
pub fn named<T: Named + Send + Sync>() -> impl TypedValueParser<Value = T> {
    let values = T::ALL.iter().map(|&(_, name, about)| match about {
        "" => PossibleValue::new(name),
        about => PossibleValue::new(name).help(about),
    });
    PossibleValuesParser::new(values).try_map(|given| {
        let found = T::ALL.iter().find(|(_, name, _)| *name == given);
        found.map(|(value, ..)| *value).ok_or("it is none of the names")
    })
}

/// The name of the value that counts where none is given.
pub fn default<T: Named + Default>() -> &'static str {
    T::default().name()
}
