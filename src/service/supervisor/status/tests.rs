//! What a status says, in words and in JSON.

use super::*;
use crate::events::Failure;

fn member(name: &str, state: &str) -> Member {
    Member { name: name.to_owned(), state: state.to_owned(), ..Member::default() }
}

#[test]
fn a_line_a_member() {
    let figures =
        Figures { frames_per_second: 15.0, megabits_per_second: 0.99, skipped: Some(2), ..Figures::default() };
    let chosen = Chosen { encoder: "OpenH264".to_owned(), ..Chosen::default() };
    let stream = Stream { figures: Some(figures), chosen: Some(chosen), ..Stream::default() };
    let stalled = |by| Stream { stalled: Some(Stalled { seconds: 7.4, by }), ..stream.clone() };
    let known = stalled(Some(Holder { pid: 12, name: "cat".to_owned() }));
    let unknown = Stream { figures: None, ..stalled(None) };
    let (code, cause) = ("hang".to_owned(), "the stream hung".to_owned());
    let failure = Failure { code, cause, remedy: String::new(), input: false };
    let last_end = Some(Ended { seconds_ago: 12.3, failure: Some(failure) });
    let members = vec![
        Member { restarts: 1, ..member("go2rtc", "running") },
        member("omega-0", "waiting"),
        Member { stream: Some(stream.clone()), ..member("omega-1", "streaming") },
        Member { stream: Some(known), ..member("omega-1", "streaming") },
        Member { stream: Some(Stream { restarts: 2, ..stream.clone() }), ..member("omega-1", "streaming") },
        Member { stream: Some(unknown), ..member("omega-1", "streaming") },
        Member { last_end, ..member("omega-2", "waiting") },
    ];
    let status = Status { members, trouble: Vec::new(), elsewhere: None };
    assert_eq!(
        status.table(),
        "go2rtc   running [started again once]\n\
         omega-0  waiting\n\
         omega-1  streaming: 15.00 fps, 0.99 Mb/s, 2 skipped, OpenH264\n\
         omega-1  streaming: 15.00 fps, 0.99 Mb/s, 2 skipped, OpenH264; its reader has read nothing for 7 s: cat (pid 12)\n\
         omega-1  streaming: 15.00 fps, 0.99 Mb/s, 2 skipped, OpenH264; its driver was lost 2 times\n\
         omega-1  streaming: its reader has read nothing for 7 s\n\
         omega-2  waiting: last stream failed 12 s ago: the stream hung [hang]\n"
    );
    assert!(!status.is_bad());
    let down = Member {
        why: Some("signal: 9 (SIGKILL)".to_owned()),
        starts_in_seconds: Some(1.5),
        restarts: 3,
        ..member("omega-2", "down")
    };
    let status = Status { members: vec![down], trouble: vec!["temp/logs/omega-2.log: full".into()], elsewhere: None };
    assert_eq!(
        status.table(),
        "omega-2  down: signal: 9 (SIGKILL) (starting again in 2 s) [started again 3 times]\n\
         cannot be written: temp/logs/omega-2.log: full\n"
    );
    assert!(status.is_bad());
}

#[test]
fn each_shows_its_gpu_and_its_encoder_and_why_it_is_not_the_other_one() {
    let why = |code: &str| Fallback { code: code.to_owned(), why: "none is free: it failed with 21".to_owned() };
    let streaming = |chosen| Stream { figures: Some(Figures::default()), chosen: Some(chosen), ..Stream::default() };
    let openh264 = |code| Chosen { encoder: "OpenH264".to_owned(), fallback: Some(why(code)), ..Chosen::default() };
    let nvenc = Chosen { encoder: "NVENC".to_owned(), device: Some(0), ..Chosen::default() };
    let gpu = |number, name: Option<&str>| Some(Device { number, name: name.map(str::to_owned) });
    let members = vec![
        Member { gpu: gpu(0, Some("L4")), stream: Some(streaming(nvenc)), ..member("a-0", "streaming") },
        Member {
            gpu: gpu(1, Some("L4")),
            stream: Some(streaming(openh264("nvenc-sessions"))),
            ..member("a-1", "streaming")
        },
        Member { gpu: gpu(0, None), restarts: 1, ..member("a-2", "waiting") },
        // As on any machine without a GPU.
        Member { stream: Some(streaming(openh264("no-nvidia-driver"))), ..member("a-3", "streaming") },
    ];
    let status = Status { members, trouble: Vec::new(), elsewhere: None };
    assert_eq!(
        status.table(),
        "a-0  streaming: 0.00 fps, 0.00 Mb/s, NVENC [GPU 0, L4]\n\
         a-1  streaming: 0.00 fps, 0.00 Mb/s, OpenH264 (none is free [nvenc-sessions]) [GPU 1, L4]\n\
         a-2  waiting [started again once] [GPU 0]\n\
         a-3  streaming: 0.00 fps, 0.00 Mb/s, OpenH264\n"
    );
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.contains(r#""fallback":{"code":"nvenc-sessions","why":"none is free: it failed with 21"}"#), "{text}");
    assert!(text.contains(r#""gpu":{"number":1,"name":"L4"}"#), "{text}");
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
}
