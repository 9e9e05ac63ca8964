//! From where a process goes on with an input that another one has read from.

/// How much of an input was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Onward {
    /// Nothing is to be known: its pictures are made when they are asked for, or it is opened or connected to anew, as its
    /// producer knows it.
    #[default]
    Anew,
    /// A file, from this byte on, which is the first one of a picture.
    Byte(u64),
    /// A pipe, behind the bytes in the memory that has this descriptor.
    Behind(i32),
    /// A pipe. What was read of it is gone with who has read it, unless that hands it on.
    Lost,
}
