//! Names for the values of an enum, said once for the command line, its help and whoever prints one.

/// Values that go by a name wherever people write them.
pub trait Named: Copy + PartialEq + 'static {
    /// Every value with its name and, where the name does not say it, what it is.
    const ALL: &'static [(Self, &'static str, &'static str)];

    /// The name of this value.
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(value, ..)| *value == self).map_or("", |(_, name, _)| name)
    }
}
