"""Firefox and WebKitGTK, driven as a person at a phone would use them: opens pages, taps, presses keys, reads.

Firefox speaks WebDriver BiDi over a WebSocket, WebKitGTK the classic WebDriver over HTTP. Both are Debian's.
"""

import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.request import Request, urlopen

from websockets.sync.client import ClientConnection, connect

from tests.servers.process import find_program, free_port, start, wait_until

WIDTH, HEIGHT = 360, 640
LONGEST_WAIT = 60.0  # seconds
LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
CENTER = """(() => {{
    const element = document.querySelector({selector});
    element.scrollIntoView({{ block: "center" }});
    const box = element.getBoundingClientRect();
    return [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)];
}})()"""
TAB, ENTER, DOWN = "\ue004", "\ue006", "\ue015"  # code points of WebDriver


class Engine(Protocol):
    """One page of a browser."""

    def open(self, url: str) -> None:
        """Goes to an address. A page that cannot be loaded is no error here."""

    def run(self, expression: str) -> Any:
        """Returns the value of a JavaScript expression, awaited."""

    def tap(self, selector: str) -> None:
        """Taps the middle of an element."""

    def press(self, *keys: str) -> None:
        """Presses keys one after the other."""


def wait_for(engine: Engine, expression: str, *, seconds: float = LONGEST_WAIT) -> None:
    """Waits until a JavaScript expression is true on the page."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        with suppress(Exception):  # the page changes
            if engine.run(expression):
                return
        time.sleep(0.1)
    raise AssertionError(f"not true in {seconds:.0f} s: {expression} on {engine.run('document.body.innerText')}")


class Firefox:
    """A page of Firefox, over its WebSocket."""

    def __init__(self, connection: ClientConnection, *, scripts: bool = True) -> None:
        self._connection = connection
        self._has_scripts = scripts
        self._number = 0
        self._call("session.new", capabilities={})
        self._page = self._call("browsingContext.create", type="tab")["context"]  # which has the focus of the keyboard
        self._call("browsingContext.setViewport", context=self._page, viewport={"width": WIDTH, "height": HEIGHT})

    def open(self, url: str) -> None:
        with suppress(RuntimeError):
            self._call("browsingContext.navigate", context=self._page, url=url, wait="complete")

    def run(self, expression: str) -> Any:
        found = self._evaluate(expression)
        if found["type"] == "exception":
            raise RuntimeError(found["exceptionDetails"]["text"])
        value = found["result"].get("value")
        return None if value is None else json.loads(value)

    def _evaluate(self, expression: str) -> dict[str, Any]:
        """Runs an expression: in a sandbox, in which no promise is ever kept, where pages run no scripts."""
        if self._has_scripts:
            target = {"context": self._page}
            text = f"Promise.resolve({expression}).then(JSON.stringify)"
        else:
            target = {"context": self._page, "sandbox": "tests"}
            text = f"JSON.stringify({expression})"
        return self._call("script.evaluate", expression=text, target=target, awaitPromise=self._has_scripts)

    def tap(self, selector: str) -> None:
        self._perform(_touch(*self.run(CENTER.format(selector=json.dumps(selector)))))

    def press(self, *keys: str) -> None:
        self._perform(_typing(keys))

    def _perform(self, actions: dict[str, Any]) -> None:
        self._call("input.performActions", context=self._page, actions=[actions])

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            reply: dict[str, Any] = json.loads(self._connection.recv(LONGEST_WAIT))
            if reply.get("id") == self._number:
                break
        if reply["type"] == "error":
            raise RuntimeError(reply["message"])
        result: dict[str, Any] = reply["result"]
        return result


class WebKit:
    """A page of WebKitGTK's MiniBrowser, over the HTTP of its driver."""

    def __init__(self, driver: str) -> None:
        self._session = driver
        options = {"binary": str(_minibrowser()), "args": ["--automation"]}
        capabilities = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
        session = self._call("POST", "/session", {"capabilities": capabilities})["sessionId"]
        self._session = f"{driver}/session/{session}"
        self._call("POST", "/window/rect", {"width": WIDTH, "height": HEIGHT})
        self._call("POST", "/timeouts", {"pageLoad": 20_000, "script": 20_000})

    def open(self, url: str) -> None:
        with suppress(OSError):
            self._call("POST", "/url", {"url": url})

    def run(self, expression: str) -> Any:
        script = f"const done = arguments[0]; Promise.resolve({expression}).then(done)"
        return self._call("POST", "/execute/async", {"script": script, "args": []})

    def tap(self, selector: str) -> None:
        self._perform(_mouse(*self.run(CENTER.format(selector=json.dumps(selector)))))

    def press(self, *keys: str) -> None:
        self._perform(_typing(keys))

    def quit(self) -> None:
        """Ends the browser."""
        with suppress(OSError):
            self._call("DELETE", "", None)

    def _perform(self, actions: dict[str, Any]) -> None:
        self._call("POST", "/actions", {"actions": [actions]})

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(self._session + path, data, headers, method=method)
        with urlopen(request, timeout=LONGEST_WAIT) as reply:  # nosec B310
            return json.load(reply)["value"]


@contextmanager
def firefox(*, scripts: bool = True) -> Iterator[Firefox]:
    """Runs Firefox with a fresh profile and yields its page; without `scripts`, pages run none."""
    program = find_program("firefox-esr", "firefox")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder, "log")
        Path(folder, "user.js").write_text(f'user_pref("javascript.enabled", {str(scripts).lower()});')
        command = [program, "--headless", "--profile", folder, "--remote-debugging-port", "0"]
        with _running(command, log):
            wait_until(lambda: LISTENS.search(log.read_text()), what="Firefox to listen", seconds=LONGEST_WAIT)
            address = LISTENS.findall(log.read_text())[0]
            with connect(f"{address}/session", max_size=None) as connection:
                yield Firefox(connection, scripts=scripts)


@contextmanager
def webkit() -> Iterator[WebKit]:
    """Runs WebKitGTK on a screen of its own and yields its page."""
    port = free_port()
    driver = [find_program("WebKitWebDriver"), f"--port={port}", "--host=127.0.0.1"]
    with _running([find_program("xvfb-run"), "--auto-servernum", *driver], Path(os.devnull)):
        page = _first_page(f"http://127.0.0.1:{port}")
        yield page
        page.quit()


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    """Runs a browser. Its own processes, which may outlive it and keep what they inherited open, are ended with it."""
    process = start(command, log=log)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(LONGEST_WAIT)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _first_page(driver: str) -> WebKit:
    ends_at = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            return WebKit(driver)
        except OSError:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.2)


def _minibrowser() -> Path:
    return next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))


def _touch(x: int, y: int) -> dict[str, Any]:
    return {"type": "pointer", "id": "finger", "parameters": {"pointerType": "touch"}, "actions": _at(x, y)}


def _mouse(x: int, y: int) -> dict[str, Any]:
    return {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": _at(x, y)}


def _at(x: int, y: int) -> list[dict[str, Any]]:
    move = {"type": "pointerMove", "x": x, "y": y, "duration": 0}
    return [move, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]


def _typing(keys: tuple[str, ...]) -> dict[str, Any]:
    actions: list[dict[str, Any]] = []
    for key in keys:
        actions += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
    return {"type": "key", "id": "keyboard", "actions": actions}
