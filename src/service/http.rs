//! HTTP as the gate in front of go2rtc and the door for readers have it: heads that are parsed, answers that are whole.

mod accept;
mod answer;
mod headers;
mod request;

pub use answer::Answer;
pub use headers::Headers;
pub use request::{Request, split_head};
