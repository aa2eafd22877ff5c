"""A headless Chromium that opens pages from the disk: what it shows, what it complains about, what it asks for."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
_CONSOLE = re.compile(r"^\[[^]]*CONSOLE[^]]*\] (.*)$", re.MULTILINE)


FRAME = """<!DOCTYPE html><body><iframe src="{page}" width="{width}" height="900"></iframe><script>
addEventListener("message", (event) => {{ document.body.dataset.result = event.data; }});
</script>"""
LOOK = """
    // Texts below contrast AA of WCAG 2, then: texts looked at, background, widths of the window and of what is in it.
    const number = (text) => text.match(/[\\d.]+/g).map(Number);
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
    const paper = (element) => {
      if (!element) return [255, 255, 255];
      const own = number(getComputedStyle(element).backgroundColor);
      return (own[3] ?? 1) === 1 ? own : over(own, paper(element.parentElement));
    };
    const light = (colour) => colour.map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let checked = 0;
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      if (!texts.currentNode.data.trim() || element.closest("svg, script, option")) continue;
      if (!element.checkVisibility()) continue;
      const style = getComputedStyle(element);
      const below = paper(element);
      const pair = [light(over(number(style.color), below)), light(below)].sort((a, b) => b - a);
      const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
      const size = parseFloat(style.fontSize);
      checked += 1;
      if (ratio < (size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5)) {
        result.push(`${ratio.toFixed(2)}: ${texts.currentNode.data.trim().slice(0, 40)}`);
      }
    }
    result.push(checked, getComputedStyle(document.body).backgroundColor, innerWidth,
                document.documentElement.scrollWidth);
"""


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


def drive(
    browser: Chromium, site: Path, script: str, page: str = "index.html", *options: str, width: int | None = None
) -> tuple[Any, Visit]:
    """Let a script act on a page like a visitor; return what it leaves in ``result``, and the page.

    With ``width`` the page is shown in a frame: a window of the browser cannot be narrower than 500 pixels.
    """
    path = add_script(
        site,
        page,
        f'"use strict"; (async () => {{ const result = []; {script}; '
        "document.body.dataset.result = JSON.stringify(result); "
        'parent.postMessage(document.body.dataset.result, "*"); })();',
    )
    if width is not None:
        path = site / "frame.html"
        path.write_text(FRAME.format(page=page, width=width))
    visit = browser.open(path, "", *options)
    match = re.search(r'<body[^>]* data-result="([^"]*)"', visit.dom)
    assert match is not None, visit.console
    return json.loads(html.unescape(match[1])), visit


def _requests(log: Path) -> list[str]:
    """The browser asks for updates of its own; what a page asks for has an origin."""
    events = json.loads(log.read_text())["events"]
    asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
    return [params["url"] for params in asked if params["initiator"] != "not an origin"]
