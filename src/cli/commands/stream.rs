//! `mb-encode` without a subcommand: one stream, to the one output that was asked for.

use crate::cli::options::{Scene, StreamOptions};
use crate::cli::output::Destination;
use crate::gl::Gl;
use crate::os::signals::{self, Child};
use crate::service::worker::{self, Role};
use crate::source::{Bar, Renderer, ShaderScene, TestCard};
use crate::{Control, Error, Output, Settings, stream};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub fn run(options: &StreamOptions) -> anyhow::Result<()> {
    let settings = options.settings();
    let output = options.output.destination()?;
    let shader = options.shader_source()?;
    let make_renderer = |gl: &Gl, settings: &Settings| make_renderer(options, shader.as_ref(), gl, settings);
    if let (Destination::File(out), Some(shader)) = (&output, options.shader_path()) {
        keep_shader(out, shader)?;
    }
    let role = Role::of_this_process();
    if role != Role::Program {
        worker::end_with_worker()?;
    }
    if role == Role::Rehearsal {
        return Ok(stream::rehearse(&settings, make_renderer)?);
    }
    let control = Arc::new(Control::new()?);
    let child = Child::default();
    signals::start(&control, &child)?;
    let stats_every = options.logging.stats_interval();
    match (&output, role) {
        (Destination::Fifo(fifo), Role::Program) => worker::serve(fifo, &control, &child),
        (Destination::Fifo(_), Role::Reader(reader)) => {
            let connected = Instant::now();
            let totals = stream::run(&settings, &Output::Stdout, make_renderer, &control, stats_every)?;
            stream::log_disconnected(reader, &totals, connected.elapsed());
            Ok(())
        }
        (destination, _) => {
            let output = match destination {
                Destination::File(path) => Output::File(path.clone()),
                _ => Output::Stdout,
            };
            stream::run(&settings, &output, make_renderer, &control, stats_every)?;
            Ok(())
        }
    }
}

/// Refuses to write the video over the shader that it shows, by whatever name.
fn keep_shader(out: &Path, shader: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    match (id(out), id(shader)) {
        (Ok(out_id), Ok(shader_id)) if out_id == shader_id => Err(Error::input(
            format!("--out {} is the file of --shader, which the video would replace", out.display()),
            "name another file: mb-encode --out clip.h264 --frames 240",
        )),
        _ => Ok(()),
    }
}

fn make_renderer(
    options: &StreamOptions,
    shader: Option<&(String, String)>,
    gl: &Gl,
    settings: &Settings,
) -> Result<Box<dyn Renderer>, Error> {
    Ok(match (shader, options.scene) {
        (Some((name, source)), _) => Box::new(ShaderScene::new(gl, name, source)?),
        (None, Scene::Testcard) => Box::new(TestCard::new(gl, settings.size, &options.label)?),
        (None, Scene::Bar) => Box::new(Bar::new(gl, settings.size)?),
    })
}
