//! Parameter structs that the driver reads and fills.
//!
//! They stay raw memory: their enums have values that Rust would have to know, some of them have no zero, and a driver
//! may write others. So fields are written and read one by one, through pointers, and no reference to a whole struct is
//! made.

use std::mem::MaybeUninit;

/// A struct of all zero bytes, which the API asks for before fields are set.
pub(super) struct Param<T>(MaybeUninit<T>);

impl<T> Param<T> {
    pub(super) fn zeroed() -> Self {
        Self(MaybeUninit::zeroed())
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut T {
        self.0.as_mut_ptr()
    }
}

/// Writes `$value` to a field of the struct behind the pointer `$to`.
macro_rules! set {
    ($to:expr, $($field:ident).+, $value:expr) => {{
        let pointer = $to;
        let value = $value;
        // SAFETY: the pointer comes from a live `Param` of this type, and a field is written with a value of its type.
        unsafe { std::ptr::addr_of_mut!((*pointer).$($field).+).write(value) }
    }};
}

/// Reads a field, of a type that every bit pattern is legal for, of the struct behind the pointer `$from`.
macro_rules! get {
    ($from:expr, $($field:ident).+) => {{
        let pointer = $from;
        // SAFETY: the pointer comes from a live `Param` of this type, all of whose bytes are initialised; the field is
        // a number or a pointer.
        unsafe { std::ptr::addr_of!((*pointer).$($field).+).read() }
    }};
}

pub(super) use {get, set};
