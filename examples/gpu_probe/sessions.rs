//! How many sessions of NVENC this process can have at once, and what the driver says to one more.

use crate::{Found, say};
use anyhow::ensure;
use mb_encode::parts::Nvenc;
use mb_encode::settings::Size;
use mb_encode::{Error, Settings};
use serde_json::json;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// An open session, in a thread of its own, for a context of CUDA is current on one thread. It is closed when this is
/// dropped.
struct Held {
    /// The thread waits until this is gone.
    let_go: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Held {
    fn open(settings: &Settings) -> Result<Self, Error> {
        let (tell, told) = channel();
        let (let_go, wait) = channel::<()>();
        let settings = settings.clone();
        let thread = std::thread::spawn(move || {
            let (opened, session) = match Nvenc::open_for_host(&settings) {
                Ok(nvenc) => (Ok(()), Some(nvenc)),
                Err(why) => (Err(why), None),
            };
            // Both fail only where nobody is left, which is the end as well.
            let _ = tell.send(opened);
            let _ = wait.recv();
            drop(session);
        });
        let held = Self { let_go: Some(let_go), thread: Some(thread) };
        told.recv().expect("it tells before it ends").map(|()| held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.let_go.take());
        // What it panicked over is on standard error.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// # Errors
/// Not even one opens, or one is refused for another reason than that there are too many.
pub fn run(settings: &Settings, most: u32) -> anyhow::Result<Found> {
    let settings = Settings { size: Size::new(640, 360)?, ..settings.clone() };
    let mut open = Vec::new();
    let refused = (0..most).find_map(|_| match Held::open(&settings) {
        Ok(session) => {
            open.push(session);
            None
        }
        Err(why) => Some(why),
    });
    let said = refused.as_ref().map(Error::cause);
    match &said {
        Some(said) => say(&format!("{} sessions at once, and then: {said}", open.len())),
        None => say(&format!("{} sessions at once, and none was refused", open.len())),
    }
    let code = refused.as_ref().map(Error::code);
    ensure!(!open.is_empty() && matches!(code, None | Some("nvenc-sessions")), "{}", said.unwrap_or_default());
    Ok(json!({ "open": open.len(), "refused": said }))
}
