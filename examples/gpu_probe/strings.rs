//! What EGL and CUDA say of themselves.

use crate::{Found, libraries, say};
use mb_encode::Settings;
use mb_encode::parts::{candidates, egl_strings};
use serde_json::{Map, Value, json};

/// # Errors
/// There is no libEGL. A machine without CUDA is told of, and is no error.
pub fn run(settings: &Settings) -> anyhow::Result<Found> {
    let mut egl = Map::new();
    for (about, said) in egl_strings()? {
        say(&about);
        for (what, text) in &said {
            say(&format!("    {what}: {text}"));
        }
        egl.insert(about, said.into_iter().map(|(what, text)| (what.to_owned(), Value::from(text))).collect());
    }
    let cuda = match candidates(settings.device) {
        Ok(all) => all.map(|gpu| gpu.open().map_or_else(|why| why.to_string(), |it| it.name())).collect(),
        Err(why) => vec![why.cause()],
    };
    say("CUDA");
    for (ordinal, name) in cuda.iter().enumerate() {
        say(&format!("    {ordinal}: {name}"));
    }
    let libraries = libraries::loaded();
    say("libraries");
    for path in &libraries {
        say(&format!("    {path}"));
    }
    Ok(json!({ "egl": egl, "cuda": cuda, "libraries": libraries }))
}
