//! `mb-encode` without a subcommand: one stream, to the one output that was asked for.

use super::explain;
use crate::cli::input::Input;
use crate::cli::logging::TO_BE_READ;
use crate::cli::options::{Scene, StreamOptions};
use crate::cli::output::Destination;
use crate::control::{requests, signals};
use crate::events::Event;
use crate::gl::Gl;
use crate::os::link::Link;
use crate::os::process::{GRACE, GRACE_OF_PARENT};
use crate::service::exit::FAILED;
use crate::service::go2rtc::keyframes;
use crate::service::role::Role;
use crate::service::{broadcast, worker};
use crate::source::{Absent, Bar, Renderer, Shader, ShaderScene, TestCard, input as source};
use crate::stream::{self, MakeRenderer, Source, Vitals, watchdog};
use crate::{Control, Error, Output, Settings};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The shader that this process shows, by its name, or has others show.
static SHADER: OnceLock<String> = OnceLock::new();

/// What to do about an error that a shader may be the reason for; then it is the likeliest one.
pub fn remedy(code: &str) -> Option<String> {
    let name = SHADER.get()?;
    matches!(code, "hang" | "start-hang").then(|| {
        let usual = explain::remedy(code).unwrap_or_default();
        format!("the shader {name} may have a loop that never ends, or be too slow for this machine\nelse {usual}")
    })
}

/// Notes which shader the streams with these options show.
pub fn suspect(options: &StreamOptions) {
    if let Some(path) = options.shader_path() {
        // One process has one set of options.
        let _ = SHADER.set(path.display().to_string());
    }
}

pub fn run(options: &StreamOptions) -> anyhow::Result<()> {
    let role = Role::of_this_process()?;
    suspect(options);
    let link = Link::of_this_process().map(Arc::new);
    let ended = match role {
        Role::Program => program(options, link.clone()),
        Role::Rehearsal => {
            watched(options, link.as_ref(), |source, vitals, _| {
                let settings = options.settings();
                match source {
                    // Nobody watches yet, so no producer is to know of it.
                    What::Input(_) => stream::rehearse_source(&settings, Source::Fed(&mut Absent), vitals),
                    What::Scene(make) => stream::rehearse_source(&settings, Source::Drawn(make), vitals),
                }
            })
        }
        Role::Reader(_, None) => stream_to(&Output::Stdout, options, link.as_ref()),
        Role::Reader(_, Some(format)) => stream_to(&Output::Stdout, &options.in_format(format), link.as_ref()),
    };
    if let (Err(error), Some(link)) = (&ended, &link) {
        if let Some(error) = error.downcast_ref::<Error>() {
            link.send(&Event::failed(error));
        }
    }
    ended
}

/// What a person or a supervisor has started.
fn program(options: &StreamOptions, link: Option<Arc<Link>>) -> anyhow::Result<()> {
    match options.output.destination()? {
        Destination::Fifo(fifo) => {
            // Known here and now, and not with the first reader.
            options.shader()?;
            if let Some(Input { place, .. }) = options.input()? {
                if place.is_fifo_at(&fifo.path) {
                    return Err(Error::input(
                        "input-is-output",
                        format!("--fifo {} is where --input reads", fifo.path.display()),
                        "",
                    )
                    .into());
                }
                place.make()?;
            }
            let control = control_of_worker(link.as_ref())?;
            worker::serve(&fifo, options.limits(), &control, link)
        }
        Destination::Http(mut http) => {
            options.shader()?;
            if let Some(Input { place, .. }) = options.input()? {
                place.make()?;
                http.for_one = place.is_for_one().then(|| place.to_string());
            }
            let control = control_of_worker(link.as_ref())?;
            broadcast::serve(&http, options.limits(), &control, link)
        }
        Destination::File(path) => {
            keep_inputs(&path, options)?;
            stream_to(&Output::File(path), options, None)
        }
        Destination::Stdout => stream_to(&Output::Stdout, options, None),
    }
}

/// What a worker is stopped by.
fn control_of_worker(link: Option<&Arc<Link>>) -> Result<Arc<Control>, Error> {
    let control = Arc::new(Control::new()?);
    signals::start(&control, GRACE_OF_PARENT, overdue)?;
    link.map_or(Ok(()), |link| requests::start(link, &control))?;
    Ok(control)
}

/// Streams in this process, to the end.
fn stream_to(output: &Output, options: &StreamOptions, link: Option<&Arc<Link>>) -> anyhow::Result<()> {
    watched(options, link, |what, vitals, control| {
        let (settings, stats_every) = (options.settings(), options.logging.stats_interval());
        let run = |source| stream::run_source(&settings, output, source, control, stats_every, vitals).map(|_| ());
        match what {
            What::Scene(make) => run(Source::Drawn(make)),
            What::Input(input) => {
                let (producer, keep) = input.place.open(input.form, !settings.paced)?;
                run(Source::Fed(&mut source::Input::start(producer, keep, options.wanted())?))
            }
        }
    })
}

/// What a stream shows.
enum What<'a> {
    /// What a renderer draws, which this makes.
    Scene(&'a mut dyn MakeRenderer),
    /// What another program makes.
    Input(Input),
}

/// Runs something that draws and encodes in this process, with a watchdog beside it.
fn watched(
    options: &StreamOptions,
    link: Option<&Arc<Link>>,
    stream: impl FnOnce(What<'_>, &Vitals, &Control) -> Result<(), Error>,
) -> anyhow::Result<()> {
    let role = Role::of_this_process()?;
    let control = Arc::new(Control::new()?);
    signals::start(&control, GRACE, overdue)?;
    if let Some(link) = link {
        requests::start(link, &control)?;
    }
    if role == Role::Program && options.output.is_stdout() {
        keyframes::line_of_this_process().map_or(Ok(()), |line| requests::start(&Arc::new(line), &control))?;
    }
    let shader = options.shader()?;
    // A worker has said it before its first reader comes.
    let mut is_noted = matches!(role, Role::Reader(..));
    let mut make = |gl: &Gl, settings: &Settings| make_renderer(options, shader.as_ref(), &mut is_noted, gl, settings);
    let vitals = Vitals::default();
    let input = options.input()?;
    watchdog::watch(&vitals, &options.limits(), link.map(|link| &**link), give_up, || {
        stream(input.map_or(What::Scene(&mut make), What::Input), &vitals, &control)
    })?;
    Ok(())
}

/// Ends a process whose stream hangs. Its other threads are left as they are: a driver that hangs would hang in its
/// clean-up as well.
fn give_up(hang: &Error) {
    tracing::error!("{hang}");
    std::thread::sleep(TO_BE_READ);
    signal_hook::low_level::exit(FAILED.into());
}

fn overdue() {
    tracing::error!("the stream did not stop when it was asked to (driver hang?): ending without its clean-up [hang]");
}

/// Refuses to write the video over what it shows, by whatever name.
fn keep_inputs(out: &Path, options: &StreamOptions) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let channels = options.channel_paths();
    let channels = channels.iter().enumerate().map(|(at, path)| (format!("--channel{at}"), path.as_deref()));
    let input = options.input()?;
    let input = input.as_ref().and_then(|input| input.place.file());
    let named = [("--shader".to_owned(), options.shader_path()), ("--input".to_owned(), input)];
    for (option, path) in named.into_iter().chain(channels) {
        if path.and_then(id).is_some_and(|input| id(out) == Some(input)) {
            return Err(Error::input(
                "out-is-shader",
                format!("--out {} is the file of {option}, which the video would replace", out.display()),
                "name another file: mb-encode --out clip.h264 --frames 240",
            ));
        }
    }
    Ok(())
}

/// Says what whoever wrote the shader may have expected otherwise.
fn note(shader: &Shader, scene: &ShaderScene) {
    for channel in scene.without_picture() {
        tracing::warn!(
            "iChannel{channel} of {shader} is black: give it a picture with --channel{channel} FILE (PNG, JPEG)"
        );
    }
    let unset = scene.unset().join(", ");
    if !unset.is_empty() {
        tracing::warn!("nothing sets these uniforms of {shader}, so they are 0: {unset}");
    }
}

fn make_renderer(
    options: &StreamOptions,
    shader: Option<&Shader>,
    is_noted: &mut bool,
    gl: &Gl,
    settings: &Settings,
) -> Result<Box<dyn Renderer>, Error> {
    Ok(match (shader, options.scene) {
        (Some(shader), _) => {
            let scene = ShaderScene::new(gl, shader)?;
            if !std::mem::replace(is_noted, true) {
                note(shader, &scene);
            }
            Box::new(scene)
        }
        (None, Scene::Testcard) => Box::new(TestCard::new(gl, settings.size, &options.label)?),
        (None, Scene::Bar) => Box::new(Bar::new(gl, settings.size)?),
    })
}
