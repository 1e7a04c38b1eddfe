"""The dashboard of a run: who is answered, how soon it shows what happens, in a browser where there is one."""

import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import time
import urllib.parse

import numpy as np
import pytest
import zarr
from driver import arrayctl_path, started

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """512 chunks that take half a minute and more to encode with gzip:9; tests end the run when they have seen enough."""
    path = tmp_path_factory.mktemp("dashboard") / "in.zarr"
    values = (np.random.default_rng(3).standard_normal((4096, 180, 180), dtype="f4") * 50).astype("i2")
    zarr.create_array(str(path), shape=values.shape, chunks=(8, 180, 180), dtype="i2", compressors=None)[
        ...
    ] = values
    return path


@pytest.fixture
def run(source, tmp_path):
    """A run with a dashboard, and its address."""
    command = [
        "rechunk",
        source,
        tmp_path / "out.zarr",
        "--chunks",
        "8,60,60",
        "--codec",
        "gzip:9",
        "--threads",
        "1",
    ]
    command = [arrayctl_path(), *map(str, command), "--dashboard", "--progress", "json"]
    process = started(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    line = json.loads(process.stderr.readline())
    assert line["event"] == "dashboard"
    yield process, urllib.parse.urlsplit(line["url"])
    process.kill()
    process.communicate()


def ask(url, path, query=None, method="GET", **headers):
    """(status, text) of a request; headers by name, `Host` too."""
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=5)
    try:
        query = url.query if query is None else query
        connection.request(method, f"{path}?{query}" if query else path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def written_bytes(url):
    status, text = ask(url, "/metrics")
    assert status == 200, text
    return int(re.search(r"^blockwise_written_bytes_total (\d+)$", text, re.M)[1])


def test_only_who_has_the_token_is_answered(run):
    _, url = run
    assert ask(url, "/")[0] == 200
    assert ask(url, "/", query="")[0] == 403
    assert ask(url, "/", query="token=" + "0" * 32)[0] == 403
    assert ask(url, "/", Host=f"evil.example:{url.port}")[0] == 403
    assert ask(url, "/", method="POST")[0] == 405
    token = urllib.parse.parse_qs(url.query)["token"][0]
    assert ask(url, "/metrics", query="", Authorization=f"Bearer {token}")[0] == 200


def test_it_listens_on_loopback_alone(run):
    process, url = run
    assert url.hostname == "127.0.0.1"
    listening = [
        line.split() for line in pathlib.Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]
    ]
    own = [line[1] for line in listening if line[3] == "0A" and line[1].endswith(f":{url.port:04X}")]
    assert own == [f"0100007F:{url.port:04X}"], own


def test_other_addresses_are_wrong_usage(source, tmp_path):
    command = [arrayctl_path(), "rechunk", str(source), str(tmp_path / "out.zarr"), "--chunks", "auto"]
    done = subprocess.run([*command, "--dashboard=0.0.0.0:0"], capture_output=True, text=True)
    assert done.returncode == 2 and "127.0.0.1" in done.stderr, done.stderr


def test_it_shows_what_happened_within_a_second(run):
    """What the run has written is compared with its own count, and changes between looks a second apart."""
    process, url = run
    seen = []
    for _ in range(4):
        seen.append(written_bytes(url))
        assert "<svg" in ask(url, "/live")[1]
        time.sleep(1)
        if process.poll() is not None:
            break
    assert len(seen) > 2 and all(before < after for before, after in zip(seen, seen[1:])), seen


class Browser:
    """Headless Chromium, driven by its own protocol through two pipes."""

    def __init__(self, profile):
        self.to_browser, self.from_browser = os.pipe(), os.pipe()
        options = ["--headless", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        options += ["--remote-debugging-pipe", "--no-first-run"] + ["--no-sandbox"] * (os.geteuid() == 0)
        reading, writing = self.to_browser[0], self.from_browser[1]

        def pipes():  # the browser reads from descriptor 3 and writes to 4
            spare = os.dup(writing)
            os.dup2(reading, 3)
            os.dup2(spare, 4)

        self.process = subprocess.Popen(
            [BROWSER, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=pipes,
        )
        self.answers, self.number, self.errors = os.fdopen(self.from_browser[0], "rb"), 0, []

    def __call__(self, method, session=None, **parameters):
        self.number += 1
        message = dict(id=self.number, method=method, params=parameters) | (
            {"sessionId": session} if session else {}
        )
        os.write(self.to_browser[1], json.dumps(message).encode() + b"\0")
        while True:
            text = b""
            while not text.endswith(b"\0"):
                text += self.answers.read(1)
            answer = json.loads(text[:-1])
            if answer.get("method") == "Log.entryAdded":
                self.errors.append(answer["params"]["entry"]["text"])
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address):
        """A new page; what is called with an expression gives its value there."""
        target = self("Target.createTarget", url=address)["targetId"]
        session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self("Log.enable", session)
        return lambda text: self("Runtime.evaluate", session, expression=text, returnByValue=True)[
            "result"
        ].get("value")


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.process.kill()
    browser.process.wait()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_in_a_browser(run, browser, figure):
    """The page loads, shows anew what the run does within a second, says when it has ended, and is refused without the token."""
    process, url = run
    look = browser.open(urllib.parse.urlunsplit(url))
    updates = "Number(document.getElementById('live')?.dataset.updates ?? 0)"
    deadline = time.monotonic() + 30
    while not look(updates):
        assert time.monotonic() < deadline, "the page shows nothing"
        time.sleep(0.1)
    seen, gaps, last = look(updates), [], time.monotonic()
    while len(gaps) < 8:
        assert time.monotonic() < deadline, gaps
        time.sleep(0.02)
        if (now := look(updates)) != seen:
            seen, gaps, last = now, [*gaps, time.monotonic() - last], time.monotonic()
    assert statistics.median(gaps) < 1, gaps
    assert look("document.querySelectorAll('svg').length") >= 4
    assert process.poll() is None and not browser.errors, browser.errors
    refused = browser.open(urllib.parse.urlunsplit(url._replace(query="")))
    wait_for(lambda: "use it whole" in (refused("document.body?.innerText") or ""))
    process.kill()
    wait_for(lambda: "ended" in (look("document.getElementById('state').textContent") or ""))
    figure(f"dashboard in a browser, anew every {statistics.median(gaps):.2f} s", 1, 1)


def wait_for(holds, secs=15):
    deadline = time.monotonic() + secs
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
