"""A real browser without a window, for pages that this package writes."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have little of it
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--window-size=1280,1000",
)


class Browser:
    """Chromium over the DevTools protocol: messages end in a zero byte, on pipes 3 and 4."""

    def __init__(self, program: str, profile: Path) -> None:
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        # High numbers cannot be 3 or 4 themselves.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (their_in, their_out)]
        self._log = (profile.parent / "browser.log").open("wb")
        self._process = subprocess.Popen(
            command,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            preexec_fn=lambda: (os.dup2(high[0], 3), os.dup2(high[1], 4)),
        )
        for fd in (their_in, their_out, *high):
            os.close(fd)
        self._unread = b""
        self._count = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of one command; events that come meanwhile are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, method: str) -> None:
        """Returns when an event of that name has come."""
        while not any(event["method"] == method for event in self.events):
            self.events.append(self._next())

    def close(self) -> None:
        self.call("Browser.close")
        self._process.wait(timeout=30)
        for fd in (self._in, self._out):
            os.close(fd)
        self._log.close()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            data = os.read(self._in, 1 << 16)
            assert data, f"the browser ended, see {self._log.name}"
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed


class Page:
    """A page that is loaded, with all that it asked for and complained about.

    Attributes:
        requests: Addresses that the page and its script asked for.
    """

    def __init__(self, browser: Browser, path: Path, scheme: str = "light") -> None:
        self._browser = browser
        browser.events.clear()
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session, self._target = attached["sessionId"], target
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=media)
        self._call("Page.navigate", url=path.as_uri())
        browser.wait_for("Page.loadEventFired")

    @property
    def requests(self) -> list[str]:
        sent = self._events("Network.requestWillBeSent")
        return [event["request"]["url"] for event in sent]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        names = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event for name in names for event in self._events(name)]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def save_screenshot(self, path: Path) -> None:
        data = self._call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def _events(self, method: str) -> list[dict[str, Any]]:
        mine = (event for event in self._browser.events if event["method"] == method)
        return [event["params"] for event in mine if event.get("sessionId") == self._session]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Skips where there is no browser."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium or Chrome on the PATH (Debian: apt install chromium)")
    running = Browser(program, tmp_path_factory.mktemp("browser") / "profile")
    yield running
    running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Any]:
    """Opens a file as a page: ``open_page(path, scheme="dark")``."""
    pages: list[Page] = []

    def open_file(path: Path, scheme: str = "light") -> Page:
        pages.append(Page(browser, path, scheme))
        return pages[-1]

    yield open_file
    for page in pages:
        page.close()
