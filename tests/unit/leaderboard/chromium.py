"""A headless Chromium that opens pages from the disk: what it shows, what it complains about, what it asks for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
_CONSOLE = re.compile(r"^\[[^]]*CONSOLE[^]]*\] (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Visit:
    """The page after its scripts have run, lines of the console, and addresses that the page itself asked for."""

    dom: str
    console: list[str]
    requests: list[str]


class Chromium:
    """Opens pages, each with a profile of its own, cut off from the net."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder, self._visits = program, folder, 0

    def open(self, page: Path, fragment: str = "", *options: str) -> Visit:
        """Load a page and let its clock run on for two seconds."""
        self._visits += 1
        log = self._folder / f"net-{self._visits}.json"
        done = subprocess.run(
            [
                self._program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={self._folder}/profile-{self._visits}",
                f"--log-net-log={log}", "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", *options,
                page.resolve().as_uri() + (f"#{fragment}" if fragment else ""),
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return Visit(done.stdout, _CONSOLE.findall(done.stderr), _requests(log))


def find_chromium(folder: Path) -> Chromium:
    """Return the browser, or skip the test that needs it."""
    for name in NAMES:
        program = shutil.which(name)
        if program:
            return Chromium(program, folder)
    pytest.skip(f"no browser is installed; looked for {', '.join(NAMES)}")


def add_script(site: Path, page: str, script: str) -> Path:
    """Put a script into a page of a site, as one of the site's own; return the page."""
    path = site / page
    (site / "assets" / "drive.js").write_text(script)
    tag = f'<script src="{"../" * page.count("/")}assets/drive.js" defer></script></head>'
    path.write_text(path.read_text().replace("</head>", tag))
    return path


def _requests(log: Path) -> list[str]:
    """The browser asks for updates of its own; what a page asks for has an origin."""
    events = json.loads(log.read_text())["events"]
    asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
    return [params["url"] for params in asked if params["initiator"] != "not an origin"]
