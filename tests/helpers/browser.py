"""Headless Chromium, driven over chromedriver's own protocol (W3C WebDriver) with Python's library alone."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MISSING = next((name for name in ("chromium", "chromedriver") if shutil.which(name) is None), "")
"""The program that is not there; empty where both are."""

TAB, ENTER = "\ue004", "\ue007"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-quic", "--disable-dev-shm-usage",
)  # fmt: skip


class Browser:
    """An open window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, path: Path, width: int, scheme: str = "light") -> None:
        """Load a page from disk into a window of a width, for people who prefer a colour scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=features)
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        _call(f"{self._session}/url", {"url": path.as_uri()})

    def devtools(self, command: str, **params: Any) -> Any:
        """A command of Chromium's own."""
        return _call(f"{self._session}/goog/cdp/execute", {"cmd": command, "params": params})

    def js(self, code: str) -> Any:
        """What a function's body returns in the page."""
        return _call(f"{self._session}/execute/sync", {"script": code, "args": []})

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        strokes = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        _call(f"{self._session}/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def console(self) -> list[str]:
        """What was written to the console, or failed to load, since the last call."""
        return [entry["message"] for entry in _call(f"{self._session}/se/log", {"type": "browser"})]

    def screenshot(self) -> bytes:
        """What is in the window, as PNG."""
        picture = self.devtools("Page.captureScreenshot", captureBeyondViewport=False)
        return base64.b64decode(picture["data"])


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A window of a fresh profile; all is gone when the block ends."""
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        address = f"http://localhost:{_port(driver)}/session"
        options = {"args": [*_FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = f"{address}/{_call(address, {'capabilities': {'alwaysMatch': wanted}})['sessionId']}"
        try:
            yield Browser(session)
        finally:
            _call(session, None, "DELETE")
    finally:
        driver.terminate()
        driver.communicate()


def _port(driver: subprocess.Popen[str]) -> int:
    assert driver.stdout is not None
    for line in driver.stdout:
        if found := re.search(r"started successfully on port (\d+)", line):
            return int(found[1])
    raise RuntimeError("chromedriver did not start")


def _call(address: str, content: Any, method: str = "POST") -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)["value"]
