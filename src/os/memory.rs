//! Memory that was freed and that the allocator keeps, given back to the system. Never touches what is in use.

/// Has the allocator give back every page that nobody uses any more. Takes a time that grows with the heap, of a
/// millisecond or two for a stream's. Where the allocator is not glibc's it does nothing.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks, and looks at no memory but what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
