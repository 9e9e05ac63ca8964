//! Frames that other programs hand over: whatever they do, the stream goes on, and they draw for viewers only.

#[path = "../support/mod.rs"]
mod support;

mod unixfd;
