"""A real Chromium without a window, driven over WebDriver by the chromedriver of the same package. It knows nothing of what
the pages show. Who imports it has this folder in PYTHONPATH."""

import json
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

SCRIPT_LIMIT = 60  # seconds


class BrowserFailed(Exception):
    """The browser or its driver does not do what it was told to."""


class Browser:
    """One browser with one page and an empty profile. It looks up no host but `hosts`, and asks nobody for anything."""

    def __init__(self, hosts, arguments=()):
        self.profile = tempfile.mkdtemp(prefix="mb-encode-browser-")
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            self.session = self._open_session(hosts, arguments)
        except BaseException:
            self._end()
            raise

    def _open_session(self, hosts, arguments):
        port = None
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                port = found[1]
                break
        if not port:
            raise BrowserFailed("chromedriver does not start")
        self.session = f"http://127.0.0.1:{port}/session"
        excluded = "".join(f", EXCLUDE {host}" for host in hosts)
        options = {
            "goog:chromeOptions": {
                "args": [
                    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                    *("--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream"),
                    f"--host-resolver-rules=MAP * ~NOTFOUND{excluded}",
                    f"--user-data-dir={self.profile}",
                    *arguments,
                ]
            },
            "timeouts": {"script": SCRIPT_LIMIT * 1000, "pageLoad": SCRIPT_LIMIT * 1000},
        }
        return self.session + "/" + self.ask("", {"capabilities": {"alwaysMatch": options}})["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.ask("", None, "DELETE")
        except (BrowserFailed, OSError):
            pass
        self._end()

    def _end(self):
        self.driver.terminate()
        self.driver.wait(10)
        self.driver.stdout.close()
        # What is left of the browser may still write there.
        shutil.rmtree(self.profile, ignore_errors=True)

    def ask(self, command, body, method="POST"):
        """What the driver answers to a command of WebDriver."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.session + command, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=SCRIPT_LIMIT + 30) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise BrowserFailed(f"the browser's driver: {error.read().decode()[:300]}") from error

    def open(self, address):
        """Opens a page, and returns when it is loaded."""
        self.ask("/url", {"url": address})

    def tell(self, script):
        """What `script` returns at once."""
        return self.ask("/execute/sync", {"script": script, "args": []})

    def run(self, script, *arguments):
        """What `script` hands to its last argument, a function."""
        return self.ask("/execute/async", {"script": script, "args": list(arguments)})
