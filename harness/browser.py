"""A real browser for tests: one that is there, driven without a screen."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

CANDIDATES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
KNOWN_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def browser_path() -> Path | None:
    """Return a Chromium, Chrome or Edge of this machine (``HIFI_PORTRAIT_BROWSER`` wins), or None."""
    named = os.environ.get("HIFI_PORTRAIT_BROWSER")
    found: list[str | None] = [named] if named else [shutil.which(name) for name in CANDIDATES]
    for path in [*found, *KNOWN_PLACES]:
        if path and Path(path).is_file():
            return Path(path)
    return None


@contextlib.contextmanager
def open_page(url: str, width: int = 1600, height: int = 1000) -> Iterator[Page]:
    """Open ``url`` in a fresh headless browser and close it whatever happens.

    Raises
    ------
    FileNotFoundError
        No browser is installed.
    """
    from playwright.sync_api import sync_playwright

    path = browser_path()
    if path is None:
        raise FileNotFoundError("no Chromium, Chrome or Edge found; set HIFI_PORTRAIT_BROWSER")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(path), args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(url)
            yield page
        finally:
            browser.close()
