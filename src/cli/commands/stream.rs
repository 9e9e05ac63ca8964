//! `mb-encode` without a subcommand: one stream, to the one output that was asked for.

use super::explain;
use crate::cli::input::Input;
use crate::cli::logging::TO_BE_READ;
use crate::cli::moving;
use crate::cli::options::{Scene, StreamOptions};
use crate::cli::output::Destination;
use crate::control::{requests, signals};
use crate::events::{Event, Progress};
use crate::gl::Gl;
use crate::os::link::Link;
use crate::os::process::{self, GRACE, GRACE_OF_PARENT};
use crate::os::stdio::replace_stdout;
use crate::service::exit::{Exit, FAILED};
use crate::service::go2rtc::keyframes;
use crate::service::role::{Known, Role};
use crate::service::spare::wait_for_reader;
use crate::service::{broadcast, worker};
use crate::source::{Absent, Bar, Renderer, Shader, ShaderScene, TestCard, input as source};
use crate::stream::{self, Afterwards, Checkpoint, MakeRenderer, Outcome, Ready, Rehearsed, Source, Vitals, watchdog};
use crate::{Control, Error, Output, Settings};
use rustix::fd::AsFd as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
            watched(options, &Arc::new(Control::new()?), link.as_ref(), None, |source, vitals| {
                let settings = known_settings(options);
                let rehearsed = match source {
                    // Nobody watches yet, so no producer is to know of it.
                    What::Input(_) => stream::rehearse_source(&settings, Source::Fed(&mut Absent), vitals),
                    What::Scene(make) => stream::rehearse_source(&settings, Source::Drawn(make), vitals),
                }?;
                let Rehearsed { opening, on_gpu, without_nvenc } = rehearsed;
                let event = Event::Rehearsed { seconds: opening.as_secs_f64(), on_gpu, without_nvenc };
                link.iter().for_each(|link| link.send(&event));
                Ok(())
            })
        }
        Role::Spare => spare(options, link.as_ref()),
        Role::Reader(_, None) => stream_to(&Output::Stdout, options, link.as_ref(), None),
        Role::Reader(_, Some(format)) => stream_to(&Output::Stdout, &options.in_format(format), link.as_ref(), None),
    };
    if let (Err(error), Some(link)) = (&ended, &link) {
        if let Some(error) = error.downcast_ref::<Error>() {
            link.send(&Event::failed(error));
        }
    }
    ended
}

/// The settings of a stream, by what a worker knows that started this process.
fn known_settings(options: &StreamOptions) -> Settings {
    let settings = options.settings();
    Known::of_this_process(settings.encoder).apply(settings)
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
            let control = control_of_worker(link.as_ref(), Duration::ZERO)?;
            worker::serve(&fifo, options.terms(), &control, link)
        }
        Destination::Http(mut http) => {
            options.shader()?;
            if let Some(Input { place, .. }) = options.input()? {
                place.make()?;
                http.for_one = place.is_for_one().then(|| place.to_string());
            }
            let control = control_of_worker(link.as_ref(), http.linger)?;
            broadcast::serve(&http, options.terms(), &control, link)
        }
        Destination::File(path) => {
            keep_inputs(&path, options)?;
            stream_to(&Output::File(path), options, None, link.as_deref())
        }
        Destination::Stdout => stream_to(&Output::Stdout, options, None, link.as_deref()),
    }
}

/// What a worker is stopped by, whose streams go on for `linger` at most.
fn control_of_worker(link: Option<&Arc<Link>>, linger: Duration) -> Result<Arc<Control>, Error> {
    let control = Arc::new(Control::new()?);
    signals::start(&control, linger + GRACE_OF_PARENT, overdue)?;
    link.map_or(Ok(()), |link| requests::start(link, &control))?;
    Ok(control)
}

/// Streams in this process, to the end, or until the stream goes on in another one. `kept` is what this process was started
/// with and does not speak on, for whoever takes its place.
fn stream_to(
    output: &Output,
    options: &StreamOptions,
    link: Option<&Arc<Link>>,
    kept: Option<&Link>,
) -> anyhow::Result<()> {
    let control = Arc::new(Control::new()?);
    let outcome =
        watched(options, &control, link, kept, |what, vitals| show(what, None, output, options, vitals, &control))?;
    end(outcome, link.map(|link| &**link).or(kept), &control)
}

/// Opens what a stream needs before it has a reader, waits for that, and streams to it.
fn spare(options: &StreamOptions, link: Option<&Arc<Link>>) -> anyhow::Result<()> {
    let Some(link) = link else { return Ok(()) };
    let control = Arc::new(Control::new()?);
    signals::start(&control, GRACE, overdue)?;
    let settings = known_settings(options);
    // Its worker hears of a hang, and ends it.
    let give_up = |hang: &Error, _: &Progress, _| give_up(hang, None, None, &control);
    let (stamp, input, limits) = (options.stamp(), options.input()?, options.limits());
    let mut scene = Scenery { options, shader: None, is_noted: true };
    let vitals = Vitals::default();
    let opened = watchdog::watch(&vitals, &limits, Some(link), &give_up, || {
        scene.shader = options.shader()?;
        let mut make = |gl: &Gl, settings: &Settings| scene.make(gl, settings);
        let mut absent = Absent;
        let mut source = if input.is_some() { Source::Fed(&mut absent) } else { Source::Drawn(&mut make) };
        Ready::open(&settings, &mut source, &vitals)
    });
    let mut ready = match opened {
        Ok(ready) => ready,
        // The worker knows what is worth a word: nobody has lost anything.
        Err(error) => {
            link.send(&Event::failed(&error));
            return Err(Exit::Silent(FAILED).into());
        }
    };
    link.send(&Event::Ready);
    let Some((role, pipe)) = wait_for_reader(link, &control) else { return Ok(()) };
    // As in a process that was started for this reader.
    replace_stdout(&pipe)
        .map_err(|error| Error::machine("out-unusable", "cannot use the reader's pipe", "").caused_by(error))?;
    drop(pipe);
    link.send(&Event::Taken);
    requests::start(link, &control)?;
    let options = match Role::from_parent(&role)? {
        Role::Reader(_, Some(format)) => options.in_format(format),
        _ => options.clone(),
    };
    let vitals = moving::vitals(Role::Spare);
    let outcome = watchdog::watch(&vitals, &limits, Some(link), &give_up, || {
        let has_changed = options.stamp() != stamp;
        if has_changed {
            scene.shader = options.shader()?;
        }
        let mut make = |gl: &Gl, settings: &Settings| scene.make(gl, settings);
        if has_changed {
            ready.remake(&settings, &mut Source::Drawn(&mut make), &vitals)?;
        }
        let what = input.map_or(What::Scene(&mut make), What::Input);
        show(what, Some(ready), &Output::Stdout, &options, &vitals, &control)
    })?;
    end(outcome, Some(link), &control)
}

/// Streams what there is to show.
fn show(
    what: What<'_>,
    ready: Option<Ready>,
    output: &Output,
    options: &StreamOptions,
    vitals: &Vitals,
    control: &Control,
) -> Result<Outcome, Error> {
    let settings = known_settings(options);
    let stats_every = options.logging.stats_interval();
    let run = |source| stream::run_source(ready, &settings, output, source, control, stats_every, vitals);
    match what {
        What::Scene(make) => run(Source::Drawn(make)),
        What::Input(input) => {
            let onward = vitals.course.from().map(|from| from.onward).unwrap_or_default();
            let (producer, keep) = input.place.open(input.form, !settings.paced, onward)?;
            run(Source::Fed(&mut source::Input::start(producer, keep, options.wanted())?))
        }
    }
}

/// Ends the work of this process, or has another one go on with it.
fn end(outcome: Outcome, link: Option<&Link>, control: &Control) -> anyhow::Result<()> {
    match outcome {
        Outcome::Over(_) => Ok(()),
        Outcome::Elsewhere(moved) => Ok(moving::move_on(*moved, link, control)?),
    }
}

/// What a stream shows.
enum What<'a> {
    /// What a renderer draws, which this makes.
    Scene(&'a mut dyn MakeRenderer),
    /// What another program makes.
    Input(Input),
}

/// Runs something that draws and encodes in this process, with a watchdog beside it.
fn watched<T>(
    options: &StreamOptions,
    control: &Arc<Control>,
    link: Option<&Arc<Link>>,
    kept: Option<&Link>,
    stream: impl FnOnce(What<'_>, &Vitals) -> Result<T, Error>,
) -> anyhow::Result<T> {
    let role = Role::of_this_process()?;
    signals::start(control, GRACE, overdue)?;
    if let Some(link) = link {
        requests::start(link, control)?;
    }
    let is_go2rtcs = role == Role::Program && options.output.is_stdout();
    let line = if is_go2rtcs { keyframes::line_of_this_process().map(Arc::new) } else { None };
    line.iter().try_for_each(|line| requests::start(line, control))?;
    let vitals = moving::vitals(role);
    line.into_iter().for_each(|line| vitals.tell(line));
    // A worker has said it before its first reader comes, and the process whose stream goes on here has as well.
    let is_noted = matches!(role, Role::Reader(..)) || vitals.course.from().is_some();
    let mut scene = Scenery { options, shader: options.shader()?, is_noted };
    let mut make = |gl: &Gl, settings: &Settings| scene.make(gl, settings);
    let input = options.input()?;
    let encoder = options.settings().encoder;
    let give_up = |hang: &Error, at: &Progress, checkpoint: Option<Checkpoint>| {
        give_up(hang, checkpoint.and_then(|it| it.after_a_hang(hang, at.is_in_nvenc(), encoder)), kept, control);
    };
    Ok(watchdog::watch(&vitals, &options.limits(), link.map(|link| &**link), &give_up, || {
        stream(input.map_or(What::Scene(&mut make), What::Input), &vitals)
    })?)
}

/// Ends a process whose stream hangs, or has it go on as another one. Its other threads are left as they are: a driver that
/// hangs would hang in its clean-up as well.
fn give_up(hang: &Error, next: Option<Afterwards>, kept: Option<&Link>, control: &Control) {
    if let Some(next) = next {
        tracing::warn!("{}; starting over in a new process{}", hang.in_a_line(), next.by_what());
        let kept: Vec<_> = kept.iter().map(|link| link.as_fd()).collect();
        if let Err(error) = moving::take_own_place(&next.from, &kept, control) {
            tracing::error!("{error}");
        }
    }
    tracing::error!("{hang}");
    std::thread::sleep(TO_BE_READ);
    process::leave(FAILED.into());
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

/// What renderers are made of.
struct Scenery<'a> {
    options: &'a StreamOptions,
    shader: Option<Shader>,
    /// Whether it was said what may look otherwise than expected.
    is_noted: bool,
}

impl Scenery<'_> {
    fn make(&mut self, gl: &Gl, settings: &Settings) -> Result<Box<dyn Renderer>, Error> {
        Ok(match (&self.shader, self.options.scene) {
            (Some(shader), _) => {
                let scene = ShaderScene::new(gl, shader)?;
                if !std::mem::replace(&mut self.is_noted, true) {
                    note(shader, &scene);
                }
                Box::new(scene)
            }
            (None, Scene::Testcard) => Box::new(TestCard::new(gl, settings.size, &self.options.label)?),
            (None, Scene::Bar) => Box::new(Bar::new(gl, settings.size)?),
        })
    }
}
