//! What the wall shows of the status: each stream's state and why it does not play, in the words of `status`.
//!
//! Strangers see it. So it never says where files lie on this machine, or which processes and users there are.

use super::asking::ask_in;
use super::status::{Member, Status};
use crate::service::go2rtc::gate::{Tell, Tile, Told};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Asks the supervisor in `folder`, on its own socket, whenever the wall wants to know.
///
/// # Errors
/// There are no descriptors left.
pub fn teller(folder: &File) -> io::Result<Arc<Tell>> {
    let folder = folder.try_clone()?;
    Ok(Arc::new(move || ask_in(&folder).ok().map(told)))
}

fn told(status: Status) -> Told {
    let (servers, workers): (Vec<_>, Vec<_>) = status.members.iter().partition(|member| member.name == "go2rtc");
    Told {
        streams: workers.into_iter().map(tile).collect(),
        go2rtc: servers.first().copied().map(tile),
        elsewhere: status.elsewhere.map(|elsewhere| elsewhere.ids).unwrap_or_default(),
    }
}

fn tile(member: &Member) -> Tile {
    let earlier = || {
        let end = member.last_end.as_ref().filter(|_| member.stream.is_none())?;
        let failure = end.failure.as_ref()?;
        Some(format!("last stream failed {:.0} s ago: {failure}", end.seconds_ago))
    };
    let stalled = || {
        let stalled = member.stream.as_ref()?.stalled.as_ref()?;
        Some(format!("its reader has read nothing for {:.0} s", stalled.seconds))
    };
    let why = member.why.clone().or_else(earlier).or_else(stalled);
    let of_end = member.last_end.as_ref().and_then(|end| Some(&end.failure.as_ref()?.remedy));
    let remedy = member.remedy.as_ref().or(of_end.filter(|remedy| why.is_some() && !remedy.is_empty()));
    // One that is about a file is for whoever owns the machine, but for a place in a text.
    let is_place =
        |word: &str| word.split_once(':').is_some_and(|(_, at)| at.starts_with(|c: char| c.is_ascii_digit()));
    let remedy = remedy.filter(|remedy| remedy.split_whitespace().all(|word| !word.contains('/') || is_place(word)));
    let chosen = member.stream.as_ref().and_then(|stream| stream.chosen.as_ref());
    let figures = member.stream.as_ref().and_then(|stream| stream.figures.as_ref());
    Tile {
        name: member.name.clone(),
        state: member.state.clone(),
        why: why.as_deref().map(for_strangers),
        remedy: remedy.map(|remedy| for_strangers(remedy)),
        starts_in_seconds: member.starts_in_seconds,
        frames_per_second: figures.map(|figures| figures.frames_per_second),
        encoder: chosen.map(|chosen| chosen.encoder.clone()),
        fallback: chosen.and_then(|chosen| Some(for_strangers(&chosen.fallback.as_ref()?.in_short()?))),
        gpu: chosen.and_then(|chosen| chosen.gpu.clone()),
        device: member.gpu.as_ref().map(|gpu| gpu.number),
    }
}

/// Leaves out the folders of paths, and the numbers of processes and users.
fn for_strangers(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let number = word.trim_end_matches([')', ',', ':', ';', '.']).bytes().all(|b| b.is_ascii_digit());
        let kind = words.last().map_or("", String::as_str);
        if number && matches!(kind, "(pid" | "(uid" | "pid" | "uid") {
            let rest = &word[word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len())..];
            let rest = if kind.starts_with('(') { rest.strip_prefix(')').unwrap_or(rest) } else { rest };
            words.pop();
            words.last_mut().into_iter().for_each(|last| last.push_str(rest));
        } else {
            words.push(without_folders(word));
        }
    }
    words.join(" ")
}

/// `'/a/b/c.glsl':3` as `'c.glsl':3`.
fn without_folders(word: &str) -> String {
    let begin = word.find(|c: char| c.is_alphanumeric() || "/.~_-".contains(c)).unwrap_or(word.len());
    let (quote, path) = word.split_at(begin);
    let path = match path.find(":/").or_else(|| path.find("=/")) {
        Some(at) => &path[at + 1..],
        None => path,
    };
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let has_ending = name.split_once('.').is_some_and(|(_, ending)| ending.starts_with(|c: char| c.is_alphabetic()));
    let is_path = path.starts_with(['/', '.', '~']) || path.matches('/').count() > 1 || has_ending;
    if is_path && path.contains('/') { format!("{quote}{name}") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Failure, Holder};
    use crate::service::supervisor::status::{Device, Ended, Stalled, Stream};
    use crate::stats::{Chosen, Fallback};

    #[test]
    fn strangers_learn_why_and_not_where() {
        for (text, shown) in [
            ("the shader /home/ann/a b.glsl does not compile", "the shader a b.glsl does not compile"),
            (
                "'/home/ann/waves.glsl':3: 'x' is not declared [shader-compile]",
                "'waves.glsl':3: 'x' is not declared [shader-compile]",
            ),
            ("cannot read from unix:/run/sim/frames", "cannot read from frames"),
            ("cannot write temp/streams/omega-0.h264", "cannot write omega-0.h264"),
            ("in ~/x and ../y and ./z/", "in x and y and z"),
            ("holds 12.5 pictures/s at 30000/1001", "holds 12.5 pictures/s at 30000/1001"),
            ("killed by cat (pid 12): gone", "killed by cat: gone"),
            (
                "the worker of another user (uid 1000) serves the FIFO /a/b",
                "the worker of another user serves the FIFO b",
            ),
            ("signal: 9 (SIGKILL)", "signal: 9 (SIGKILL)"),
            ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
            ("", ""),
        ] {
            assert_eq!(for_strangers(text), shown);
        }
    }

    #[test]
    fn a_tile_says_what_status_says() {
        let failure = |remedy: &str| Failure {
            code: "hang".to_owned(),
            cause: "the stream hung".to_owned(),
            remedy: remedy.to_owned(),
            input: false,
        };
        let failed = |remedy| Some(Ended { seconds_ago: 3.0, failure: Some(failure(remedy)) });
        let waiting = Member { name: "a".to_owned(), state: "waiting".to_owned(), ..Member::default() };
        let idle = tile(&waiting);
        assert_eq!((idle.state.as_str(), idle.why, idle.remedy), ("waiting", None, None));
        let after = tile(&Member { last_end: failed("try another driver"), ..waiting.clone() });
        assert_eq!(after.why.as_deref(), Some("last stream failed 3 s ago: the stream hung [hang]"));
        assert_eq!(after.remedy.as_deref(), Some("try another driver"));
        let owners = tile(&Member { last_end: failed("remove it: rm -r /home/ann/x"), ..waiting.clone() });
        assert_eq!(owners.remedy, None);
        let down = |remedy: &str| {
            let why = Some("exit status: 2: the shader /home/ann/a.glsl does not compile".to_owned());
            tile(&Member { state: "down".to_owned(), why, remedy: Some(remedy.to_owned()), ..waiting.clone() })
        };
        let broken = down("/home/ann/a.glsl:3: 'x' : undeclared identifier");
        assert_eq!(broken.why.as_deref(), Some("exit status: 2: the shader a.glsl does not compile"));
        assert_eq!(broken.remedy.as_deref(), Some("a.glsl:3: 'x' : undeclared identifier"));
        assert_eq!(down("allow it: chmod u+r /home/ann/a.glsl").remedy, None);

        let by = Some(Holder { pid: 12, name: "cat".to_owned() });
        let fallback = Fallback { code: "nvenc-sessions".to_owned(), why: "none is free: it failed".to_owned() };
        let chosen = Some(Chosen { encoder: "OpenH264".to_owned(), fallback: Some(fallback), ..Chosen::default() });
        let gpu = Some(Device { number: 3, name: None });
        let stream = Stream { chosen, stalled: Some(Stalled { seconds: 7.4, by }), ..Stream::default() };
        let streaming = Member { stream: Some(stream), gpu, last_end: failed(""), ..waiting };
        let tile = tile(&streaming);
        assert_eq!(tile.why.as_deref(), Some("its reader has read nothing for 7 s"), "an earlier end is over");
        assert_eq!(tile.encoder.as_deref(), Some("OpenH264"));
        assert_eq!((tile.fallback.as_deref(), tile.device), (Some("none is free [nvenc-sessions]"), Some(3)));
    }
}
