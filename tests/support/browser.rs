//! A real Chromium without a window, driven over WebDriver by the chromedriver of the same package.

use super::process::{DEADLINE, Process, Reader, ready};
use super::{children, parts};
use base64::Engine as _;
use mb_encode::parts::{Mark, Strip};
use mb_encode::settings::Size;
use rustix::event::PollFlags;
use rustix::fd::AsFd;
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const HOW_TO_GET_IT: &str = "apt-get install chromium chromium-driver";

/// How long a script in a page may take.
const SCRIPT_LIMIT: Duration = Duration::from_secs(60);

/// One browser with one page and an empty profile. It is ended when this is dropped.
pub struct Browser {
    agent: ureq::Agent,
    /// The address of the session.
    session: String,
    driver: Process,
    /// Held open, so that chromedriver can write what it likes.
    _driver_stdout: BufReader<Reader<ChildStdout>>,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser whose page is `width` x `height` pixels large.
    pub fn start(width: u32, height: u32) -> Self {
        Self::start_with(width, height, &["--disable-gpu"])
    }

    /// As [`start`](Self::start), for pages that draw with WebGL: in software, as exact on any machine.
    pub fn start_with_webgl() -> Self {
        Self::start_with(256, 256, &["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"])
    }

    fn start_with(width: u32, height: u32, graphics: &[&str]) -> Self {
        let mut command = Command::new(parts::find("CHROMEDRIVER", "chromedriver", &[], HOW_TO_GET_IT));
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut driver = Process::start(&mut command);
        let mut stdout = BufReader::new(driver.stdout());
        let port = port_of(&mut stdout);

        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(SCRIPT_LIMIT + DEADLINE))
            .build();
        let profile = tempfile::tempdir().expect("a folder for the browser's profile");
        let mut this = Self {
            agent: ureq::Agent::new_with_config(config),
            session: format!("http://127.0.0.1:{port}/session"),
            driver,
            _driver_stdout: stdout,
            _profile: profile,
        };
        let limit_ms = SCRIPT_LIMIT.as_millis() as u64;
        let answer = this.post(
            "",
            json!({ "capabilities": { "alwaysMatch": {
                "timeouts": { "script": limit_ms, "pageLoad": limit_ms },
                "goog:loggingPrefs": { "browser": "ALL" },
                "goog:chromeOptions": {
                    "binary": parts::find("CHROMIUM", "chromium", &[], HOW_TO_GET_IT),
                    "args": this.arguments(graphics),
                },
            } } }),
        );
        this.session += &format!("/{}", answer["sessionId"].as_str().expect("a session has an id"));
        let page = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        this.post("/goog/cdp/execute", json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": page }));
        this
    }

    fn arguments(&self, graphics: &[&str]) -> Vec<String> {
        let mut arguments: Vec<_> = [
            "--headless=new",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--autoplay-policy=no-user-gesture-required",
            // Nothing but loopback is looked up, so that a machine without a network is as good as one with.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            // Both for WebRTC: offer this machine's addresses, as to a page with a camera, and loopback's among them.
            "--use-fake-ui-for-media-stream",
            "--allow-loopback-in-peer-connection",
        ]
        .map(String::from)
        .into();
        arguments.extend(graphics.iter().map(|&argument| argument.to_owned()));
        if rustix::process::geteuid().is_root() {
            // The sandbox refuses to work for root, which containers often run as.
            arguments.push("--no-sandbox".into());
        }
        arguments.push(format!("--user-data-dir={}", self._profile.path().display()));
        arguments
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, address: &str) {
        self.post("/url", json!({ "url": address }));
    }

    /// Runs `script` in the page with `arguments`, and gives what it hands to its last argument, a function.
    pub fn run(&self, script: &str, arguments: Value) -> Value {
        self.post("/execute/async", json!({ "script": script, "args": arguments }))
    }

    /// As [`run`](Self::run), for `script` that finds what [`READ_STRIP`] makes: it is to look at `wanted` of whatever
    /// it looks at, where videos are as large as `picture`.
    pub fn look(&self, script: &str, wanted: usize, picture: Size) -> Value {
        let strip = Strip::new(picture);
        let centres: Vec<_> = strip.centres().collect();
        self.run(&format!("{READ_STRIP}{script}"), json!([wanted, centres, strip.block() / 4]))
    }

    /// The page as it looks now, as PNG.
    pub fn screenshot(&self) -> Vec<u8> {
        let png = self.call("/screenshot", None);
        base64::prelude::BASE64_STANDARD.decode(png.as_str().expect("base64")).expect("base64")
    }

    /// What the page has logged since this was last asked.
    pub fn log(&self) -> String {
        let entries = self.post("/se/log", json!({ "type": "browser" }));
        let lines = entries.as_array().into_iter().flatten().filter_map(|entry| entry["message"].as_str());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn post(&self, command: &str, body: Value) -> Value {
        self.call(command, Some(body))
    }

    fn call(&self, command: &str, body: Option<Value>) -> Value {
        let address = format!("{}{command}", self.session);
        let answer = match body {
            Some(body) => self.agent.post(&address).content_type("application/json").send(body.to_string()),
            None => self.agent.get(&address).call(),
        };
        let mut answer = answer.unwrap_or_else(|error| self.fail(command, &error.to_string()));
        let status = answer.status();
        // A screenshot is larger than the limit that ureq sets by itself would allow for.
        let body = answer.body_mut().with_config().limit(64 << 20).read_to_string();
        let body = body.unwrap_or_else(|error| self.fail(command, &error.to_string()));
        let mut body: Value = serde_json::from_str(&body).unwrap_or_else(|_| self.fail(command, &body));
        if !status.is_success() {
            self.fail(command, &format!("{}: {}", body["value"]["error"], body["value"]["message"]));
        }
        body["value"].take()
    }

    fn fail(&self, command: &str, why: &str) -> ! {
        panic!("chromedriver, {command:?}: {why}\n{}", self.driver.lines().join("\n"));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let browsers = children::watch(self.driver.id());
        // Ends the browser in good order; what is left of it after that is killed, for chromedriver does not.
        let _ = self.agent.delete(&self.session).call();
        for browser in browsers {
            if !ready(browser.as_fd(), PollFlags::IN, Duration::from_secs(5)) {
                let _ = pidfd_send_signal(&browser, Signal::KILL);
                ready(browser.as_fd(), PollFlags::IN, Duration::from_secs(5));
            }
        }
    }
}

/// What the strip says in a `picture` of which a page told the brightness of its `blocks`, as [`READ_STRIP`] measures
/// it. The strip's own decoder reads them: it gets a picture with just these blocks.
pub fn mark_of(blocks: &Value, picture: Size) -> Option<Mark> {
    let strip = Strip::new(picture);
    let width = picture.width() as usize;
    let half = (strip.block() / 2) as usize;
    let mut luma = vec![0; picture.pixels()];
    for (brightness, (x, y)) in blocks.as_array()?.iter().zip(strip.centres()) {
        let (x, y) = (x as usize, y as usize);
        for row in luma.chunks_mut(width).skip(y - half).take(2 * half) {
            row[x - half..x + half].fill(brightness.as_f64()? as u8);
        }
    }
    strip.read(&luma, width)
}

/// `centres` are the middles of the strip's blocks, `reach` is how far around them to look. `blocksOf` gives how bright
/// each block is in the picture that a video shows.
const READ_STRIP: &str = "
const [wanted, centres, reach, done] = arguments;
const canvas = (width, height) => {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    return canvas.getContext('2d', {willReadFrequently: true});
};
const left = Math.min(...centres.map(c => c[0])) - reach, right = Math.max(...centres.map(c => c[0])) + reach;
const top_ = Math.min(...centres.map(c => c[1])) - reach, bottom = Math.max(...centres.map(c => c[1])) + reach;
const strip = canvas(right - left, bottom - top_);
const luma = (data, at) => 0.2126 * data[at] + 0.7152 * data[at + 1] + 0.0722 * data[at + 2];
const blocksOf = video => {
    const {width, height} = strip.canvas;
    strip.drawImage(video, left, top_, width, height, 0, 0, width, height);
    const data = strip.getImageData(0, 0, width, height).data;
    return centres.map(([x, y]) => {
        let sum = 0;
        for (let dy = -reach; dy < reach; dy++) {
            for (let dx = -reach; dx < reach; dx++) {
                sum += luma(data, ((y - top_ + dy) * width + x - left + dx) * 4);
            }
        }
        return Math.round(sum / (4 * reach * reach));
    });
};
";

/// The port that chromedriver says it listens on.
fn port_of(stdout: &mut impl BufRead) -> u16 {
    let mut said = String::new();
    loop {
        let start = said.len();
        let read = stdout.read_line(&mut said);
        assert!(read.is_ok_and(|bytes| bytes > 0), "chromedriver does not start: {said}");
        if let Some((_, port)) = said[start..].split_once("started successfully on port ") {
            return port.trim().trim_end_matches('.').parse().expect("a port");
        }
    }
}
