//! A real Chromium or Firefox without a window, driven over WebDriver by the chromedriver of the same package or by
//! geckodriver.

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
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const HOW_TO_GET_IT: &str = "apt-get install chromium chromium-driver";
const HOW_TO_GET_FIREFOX: &str = "apt-get install firefox-esr";
const GECKODRIVER: &str = "0.36.0";

/// How long a script in a page may take.
const SCRIPT_LIMIT: Duration = Duration::from_secs(60);

/// One browser with one page and an empty profile. It is ended when this is dropped.
pub struct Browser {
    agent: ureq::Agent,
    /// The address of the session.
    session: String,
    driver: Process,
    /// Held open, so that the driver can write what it likes.
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

    /// Starts a Firefox whose page is as wide and about as high.
    pub fn start_firefox(width: u32, height: u32) -> Self {
        let firefox = parts::any("FIREFOX", "firefox", &[])
            .unwrap_or_else(|| parts::find("FIREFOX", "firefox-esr", &[], HOW_TO_GET_FIREFOX));
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let folders = [home.join(".cargo/bin"), home.join(".cache/mb-encode")];
        // As scripts/test keeps it.
        let driver = parts::any("GECKODRIVER", &format!("geckodriver-{GECKODRIVER}"), &folders).unwrap_or_else(|| {
            let how = format!("cargo install --locked geckodriver@{GECKODRIVER}");
            parts::find("GECKODRIVER", "geckodriver", &folders, &how)
        });
        let mut command = Command::new(driver);
        let this = Self::launch(command.args(["--port", "0"]), "Listening on 127.0.0.1:");
        this.open_session(json!({
            "moz:firefoxOptions": {
                "binary": firefox,
                "args": ["-headless", "--width", width.to_string(), "--height", height.to_string()],
                // It plays without a click, and asks nobody else for anything.
                "prefs": { "media.autoplay.default": 0, "network.dns.disabled": true, "app.update.enabled": false },
            },
        }))
    }

    fn start_with(width: u32, height: u32, graphics: &[&str]) -> Self {
        let mut command = Command::new(parts::find("CHROMEDRIVER", "chromedriver", &[], HOW_TO_GET_IT));
        let this = Self::launch(command.arg("--port=0"), "started successfully on port ");
        let capabilities = json!({
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "binary": parts::find("CHROMIUM", "chromium", &[], HOW_TO_GET_IT),
                "args": this.arguments(graphics),
            },
        });
        let this = this.open_session(capabilities);
        this.resize(width, height);
        this
    }

    /// Starts a driver, which says `ready` and its port.
    fn launch(command: &mut Command, ready: &str) -> Self {
        let mut driver = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let mut stdout = BufReader::new(driver.stdout());
        let port = port_of(&mut stdout, ready);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(SCRIPT_LIMIT + DEADLINE))
            .build();
        Self {
            agent: ureq::Agent::new_with_config(config),
            session: format!("http://127.0.0.1:{port}/session"),
            driver,
            _driver_stdout: stdout,
            _profile: tempfile::tempdir().expect("a folder for the browser's profile"),
        }
    }

    fn open_session(mut self, mut capabilities: Value) -> Self {
        let limit_ms = SCRIPT_LIMIT.as_millis() as u64;
        capabilities["timeouts"] = json!({ "script": limit_ms, "pageLoad": limit_ms });
        let answer = self.post("", json!({ "capabilities": { "alwaysMatch": capabilities } }));
        self.session += &format!("/{}", answer["sessionId"].as_str().expect("a session has an id"));
        self
    }

    /// Makes Chromium's page as large, as on a screen without a scale.
    pub fn resize(&self, width: u32, height: u32) {
        let page = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.chromium("Emulation.setDeviceMetricsOverride", page);
    }

    /// A command of Chromium's own protocol.
    pub fn chromium(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
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

    /// What `script` returns at once.
    pub fn tell(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Presses and releases a key, by its character or WebDriver's code for it.
    pub fn press(&self, key: char) {
        let key = |kind: &str| json!({ "type": kind, "value": key.to_string() });
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": [key("keyDown"), key("keyUp")] });
        self.post("/actions", json!({ "actions": [keyboard] }));
    }

    /// Clicks what `selector` finds first.
    pub fn click(&self, selector: &str) {
        self.post(&format!("/element/{}/click", self.find(selector)), json!({}));
    }

    /// The role and the name that a screen reader is told of what `selector` finds first.
    pub fn role_and_name(&self, selector: &str) -> (String, String) {
        let element = self.find(selector);
        let told =
            |what: &str| self.call(&format!("/element/{element}/{what}"), None).as_str().unwrap_or("").to_owned();
        (told("computedrole"), told("computedlabel"))
    }

    fn find(&self, selector: &str) -> String {
        let found = self.post("/element", json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().and_then(|found| found.values().next()?.as_str());
        id.expect("an element has an id").to_owned()
    }

    /// Puts another tab in front, runs `hidden`, and brings the first one back.
    pub fn behind_another_tab(&self, hidden: impl FnOnce()) {
        let first = self.call("/window", None);
        let other = self.post("/window/new", json!({ "type": "tab" }));
        self.post("/window", json!({ "handle": other["handle"] }));
        hidden();
        self.call_with("DELETE", "/window", None);
        self.post("/window", json!({ "handle": first }));
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
        self.call_with(if body.is_some() { "POST" } else { "GET" }, command, body)
    }

    fn call_with(&self, method: &str, command: &str, body: Option<Value>) -> Value {
        let address = format!("{}{command}", self.session);
        let answer = match (method, body) {
            (_, Some(body)) => self.agent.post(&address).content_type("application/json").send(body.to_string()),
            ("DELETE", None) => self.agent.delete(&address).call(),
            (_, None) => self.agent.get(&address).call(),
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
        panic!("the browser's driver, {command:?}: {why}\n{}", self.driver.lines().join("\n"));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let browsers = children::watch(self.driver.id());
        // Ends the browser in good order; what is left of it after that is killed, for a driver does not.
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

/// The port that a driver says it listens on, behind `ready`.
fn port_of(stdout: &mut impl BufRead, ready: &str) -> u16 {
    let mut said = String::new();
    loop {
        let start = said.len();
        let read = stdout.read_line(&mut said);
        assert!(read.is_ok_and(|bytes| bytes > 0), "the browser's driver does not start: {said}");
        if let Some((_, port)) = said[start..].split_once(ready) {
            return port.trim().trim_end_matches('.').parse().expect("a port");
        }
    }
}
