//! What the C caller hands over: pointers to fill, pointers to read, and the call itself.
//!
//! `Out`, `In` and `List` have no constructor. They come into being only as parameters of an exported
//! `unsafe extern "C"` function, whose caller thereby promised that each is null or valid for its
//! type; that promise is what makes their safe methods sound.

use crate::status::{Answer, INVALID_VALUE, Refusal, broken};
use sim_ledger::{Call, Ledger};

/// The book of this library.
pub(crate) static LEDGER: Ledger = Ledger::new("cuda");

/// A pointer through which the caller wants one value.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    pub(crate) fn put(&self, value: T) -> Answer {
        if self.0.is_null() {
            return Err(broken(INVALID_VALUE, "null-pointer"));
        }
        // SAFETY: not null, so valid for a write of `T`: promised by the caller of the exported
        // function, the only place where an `Out` comes from (see the module's head).
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    /// For results that the caller may leave out.
    pub(crate) fn put_if_wanted(&self, value: T) {
        if !self.0.is_null() {
            let _ = self.put(value);
        }
    }
}

impl Out<u8> {
    /// Fills a C string buffer of `size` bytes; cut off where it is too small, always ended by NUL.
    pub(crate) fn put_text(&self, text: &str, size: i32) -> Answer {
        let size = usize::try_from(size).unwrap_or(0);
        if self.0.is_null() || size == 0 {
            return Err(broken(INVALID_VALUE, "null-pointer"));
        }
        let length = text.len().min(size - 1);
        // SAFETY: the caller of the exported function promised `size` bytes at this pointer, and
        // `length + 1 <= size`; `text` is ours and cannot overlap the caller's buffer.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), self.0, length);
            self.0.add(length).write(0);
        }
        Ok(())
    }
}

/// A pointer to one value that the caller filled.
#[repr(transparent)]
pub struct In<T>(*const T);

impl<T: Copy> In<T> {
    pub(crate) fn get(&self) -> Result<T, Refusal> {
        if self.0.is_null() {
            return Err(broken(INVALID_VALUE, "null-pointer"));
        }
        // SAFETY: not null, so it points to a filled `T`: promised by the caller of the exported
        // function. Every `T` used here consists of integers, so any bit pattern is a value.
        Ok(unsafe { self.0.read_unaligned() })
    }
}

/// A pointer to the first of several values, whose number is another parameter.
#[repr(transparent)]
pub struct List<T>(*mut T);

impl<T: Copy> List<T> {
    pub(crate) fn get(&self, index: usize) -> Result<T, Refusal> {
        if self.0.is_null() {
            return Err(broken(INVALID_VALUE, "null-pointer"));
        }
        // SAFETY: the exported functions ask only for indices below the number of elements that
        // their caller gave along with this pointer.
        Ok(unsafe { self.0.add(index).read_unaligned() })
    }

    pub(crate) fn put(&self, index: usize, value: T) -> Answer {
        if self.0.is_null() {
            return Err(broken(INVALID_VALUE, "null-pointer"));
        }
        // SAFETY: as in `get`; the exported functions write only below the capacity they were given.
        unsafe { self.0.add(index).write_unaligned(value) };
        Ok(())
    }
}

/// Turns an answer into the number that the caller sees, and books a broken rule.
pub(crate) fn answer(call: &Call, answer: Answer) -> u32 {
    match answer {
        Ok(()) => 0,
        Err(refusal) => {
            if !refusal.rule.is_empty() {
                LEDGER.violation(call, refusal.rule);
            }
            refusal.status
        }
    }
}

/// Defines one exported driver function: counted, faulted when ordered, and answering with a number. Behind an error that
/// stays it does nothing.
macro_rules! driver_call {
    (fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        /// # Safety
        ///
        /// Pointers are null or valid for the type the driver API documents for them.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, private_interfaces)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> u32 {
            static CALL: sim_ledger::Call = sim_ledger::Call::new(stringify!($name));
            if let Some(status) = $crate::lost::again(&CALL) {
                return status;
            }
            let fault = $crate::caller::LEDGER.enter(&CALL);
            let body = || -> $crate::status::Answer { $body };
            if let Some(status) = fault {
                if !$crate::lost::by(status) && CALL.releases() {
                    let _ = body();
                }
                return status;
            }
            $crate::caller::answer(&CALL, body())
        }
    };
}
