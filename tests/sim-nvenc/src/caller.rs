//! What the C caller hands over: structs with a version word, out-pointers, and the call itself.
//!
//! `Struct`, `Out` and `List` have no constructor. They come into being only as parameters of an
//! exported `unsafe extern "C"` function, whose caller thereby promised that each is null or valid
//! for its type; that promise is what makes their safe methods sound.
//!
//! Fields are read as plain integers at their offsets in the SDK's layouts, never as the SDK's Rust
//! enums, so that no number from outside becomes an enum value that does not exist.

use crate::status::{Answer, INVALID_PTR, INVALID_VERSION, Refusal, broken};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::GUID;
use sim_ledger::{Call, Ledger};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The book of this library.
pub(crate) static LEDGER: Ledger = Ledger::new("nvenc");

/// A pointer to a struct of the API, still unchecked.
#[repr(transparent)]
pub struct Struct<T>(*mut T);

impl<T> Struct<T> {
    /// The struct's fields, if it is there and its first word is the version that its type has.
    pub(crate) fn open(&self, version: u32) -> Result<Fields<'_, T>, Refusal> {
        let start = NonNull::new(self.0).ok_or(broken(INVALID_PTR, "null-struct"))?;
        let fields = Fields { start: start.cast(), end: size_of::<T>(), kind: PhantomData };
        fields.expect_version(version)?;
        Ok(fields)
    }
}

/// The fields of a struct in the caller's memory, or in ours.
pub(crate) struct Fields<'call, T> {
    start: NonNull<u8>,
    end: usize,
    kind: PhantomData<&'call mut T>,
}

/// The offset of a field, nested ones included.
macro_rules! at {
    ($($path:tt)*) => { std::mem::offset_of!($($path)*) };
}

impl<'call, T> Fields<'call, T> {
    /// The fields of a struct of our own; it has to be initialised, if only with zeros.
    pub(crate) fn of(own: &'call mut std::mem::MaybeUninit<T>) -> Fields<'call, T> {
        Fields { start: NonNull::from(own).cast(), end: size_of::<T>(), kind: PhantomData }
    }
}

impl<T> Fields<'_, T> {
    fn read<V: Copy>(&self, offset: usize) -> V {
        assert!(offset + size_of::<V>() <= self.end, "an offset inside the struct");
        // SAFETY: inside the struct by the assertion; that the struct is there and filled was
        // promised by the caller of the exported function. `V` is an integer or a GUID in all the
        // methods below, so any bit pattern is a value.
        unsafe { self.start.add(offset).cast::<V>().read_unaligned() }
    }

    fn write<V: Copy>(&self, offset: usize, value: V) {
        assert!(offset + size_of::<V>() <= self.end, "an offset inside the struct");
        // SAFETY: inside the struct by the assertion; that it may be written was promised by the
        // caller of the exported function, which takes the struct as a mutable one.
        unsafe { self.start.add(offset).cast::<V>().write_unaligned(value) }
    }

    pub(crate) fn word(&self, offset: usize) -> u32 {
        self.read(offset)
    }

    pub(crate) fn signed(&self, offset: usize) -> i32 {
        self.read(offset)
    }

    pub(crate) fn byte(&self, offset: usize) -> u8 {
        self.read(offset)
    }

    pub(crate) fn half(&self, offset: usize) -> u16 {
        self.read(offset)
    }

    pub(crate) fn long(&self, offset: usize) -> u64 {
        self.read(offset)
    }

    pub(crate) fn pointer(&self, offset: usize) -> usize {
        self.read(offset)
    }

    pub(crate) fn guid(&self, offset: usize) -> GUID {
        self.read(offset)
    }

    pub(crate) fn bit(&self, offset: usize, bit: u32) -> bool {
        self.word(offset) >> bit & 1 == 1
    }

    pub(crate) fn put_byte(&self, offset: usize, value: u8) {
        self.write(offset, value);
    }

    pub(crate) fn put_word(&self, offset: usize, value: u32) {
        self.write(offset, value);
    }

    pub(crate) fn put_long(&self, offset: usize, value: u64) {
        self.write(offset, value);
    }

    pub(crate) fn put_pointer(&self, offset: usize, value: usize) {
        self.write(offset, value);
    }

    pub(crate) fn put_guid(&self, offset: usize, value: GUID) {
        self.write(offset, value);
    }

    /// Sets all bytes of the struct behind its version word to zero.
    pub(crate) fn clear(&self) {
        for offset in size_of::<u32>()..self.end {
            self.write(offset, 0_u8);
        }
    }

    pub(crate) fn expect_version(&self, version: u32) -> Answer {
        match crate::version::accepted() && self.word(0) == version {
            true => Ok(()),
            false => Err(broken(INVALID_VERSION, "struct-version")),
        }
    }

    /// The fields of a struct that lies inside this one.
    pub(crate) fn inner<U>(&self, offset: usize) -> Fields<'_, U> {
        assert!(offset + size_of::<U>() <= self.end, "a struct inside the struct");
        Fields {
            // SAFETY: inside the struct by the assertion.
            start: unsafe { self.start.add(offset) },
            end: size_of::<U>(),
            kind: PhantomData,
        }
    }

    /// The struct that a pointer field leads to, if it is not null.
    pub(crate) fn behind<U>(&self, offset: usize) -> Option<Fields<'_, U>> {
        let start = NonNull::new(self.pointer(offset) as *mut u8)?;
        Some(Fields { start, end: size_of::<U>(), kind: PhantomData })
    }

    /// Writes bytes to the buffer of `capacity` bytes that a pointer field leads to.
    pub(crate) fn fill_behind(&self, offset: usize, capacity: usize, bytes: &[u8]) -> Answer {
        let start = NonNull::new(self.pointer(offset) as *mut u8);
        let start = start.ok_or(broken(INVALID_PTR, "null-buffer"))?;
        if bytes.len() > capacity {
            return Err(broken(crate::status::NOT_ENOUGH_BUFFER, "buffer-too-small"));
        }
        // SAFETY: the caller of the exported function promised `capacity` bytes behind this field,
        // and `bytes` is ours, so the two do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.as_ptr(), bytes.len()) };
        Ok(())
    }
}

/// A pointer through which the caller wants one value.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    pub(crate) fn put(&self, value: T) -> Answer {
        if self.0.is_null() {
            return Err(broken(INVALID_PTR, "null-pointer"));
        }
        // SAFETY: not null, so valid for a write of `T`: promised by the caller of the exported
        // function, the only place where an `Out` comes from (see the module's head).
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }
}

impl Out<usize> {
    /// The handle that the pointer leads to, where the API takes a handle by its address.
    pub(crate) fn get(&self) -> Result<usize, Refusal> {
        if self.0.is_null() {
            return Err(broken(INVALID_PTR, "null-pointer"));
        }
        // SAFETY: not null, so it leads to a handle: promised by the caller of the exported function.
        Ok(unsafe { self.0.read_unaligned() })
    }
}

/// A pointer to the first of several values, whose number is another parameter.
#[repr(transparent)]
pub struct List<T>(*mut T);

impl<T: Copy> List<T> {
    /// Fills the list from `values`, up to its capacity, and says how many that were.
    pub(crate) fn fill(&self, capacity: u32, values: &[T]) -> Result<u32, Refusal> {
        if self.0.is_null() {
            return Err(broken(INVALID_PTR, "null-pointer"));
        }
        let count = values.len().min(capacity as usize);
        // SAFETY: the caller of the exported function promised room for `capacity` values here.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.0, count) };
        Ok(count as u32)
    }
}

/// Turns an answer into the number that the caller sees; books a broken rule and remembers it for
/// `NvEncGetLastErrorString`.
pub(crate) fn answer(call: &Call, encoder: usize, answer: Answer) -> u32 {
    match answer {
        Ok(()) => 0,
        Err(refusal) => {
            if !refusal.rule.is_empty() {
                LEDGER.violation(call, refusal.rule);
            }
            crate::session::remember_error(encoder, call.name(), &refusal);
            refusal.status
        }
    }
}

/// Defines one function of the API: counted, faulted when ordered, and answering with a number.
/// The parameter before the `;` is the session, whose life the faults are counted in.
macro_rules! encoder_call {
    (fn $name:ident($encoder:ident; $($arg:ident: $type:ty),* $(,)?) $body:block) => {
        /// # Safety
        ///
        /// Pointers are null or valid for the type that nvEncodeAPI.h documents for them.
        #[allow(non_snake_case)]
        pub(crate) unsafe extern "C" fn $name($encoder: usize, $($arg: $type),*) -> u32 {
            static CALL: sim_ledger::Call = sim_ledger::Call::new(stringify!($name));
            let fault = $crate::caller::LEDGER.enter_in(&CALL, $encoder as u64);
            let body = || -> $crate::status::Answer { $body };
            if let Some(status) = fault {
                if CALL.releases() {
                    let _ = body();
                }
                $crate::session::fault($encoder, CALL.name(), status);
                return status;
            }
            $crate::caller::answer(&CALL, $encoder, body())
        }
    };
}
