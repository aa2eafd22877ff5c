"""Reading the pages of a site without a browser."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a page may lead to outside: the papers of our own schemes, which nothing fetches before a reader clicks.
PAPER = re.compile(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}")
SCRIPTS = frozenset({"board.js", "charts.js", "uPlot.iife.min.js"})


class Page(html.parser.HTMLParser):
    """Collects tags, ids, text, and every attribute that could make a browser fetch something; checks the nesting."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input", "source"})
    LINKS = frozenset({"href", "src", "srcset", "xlink:href", "action", "formaction", "poster", "data"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.strange_scripts: list[dict[str, str | None]] = []
        self.data: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.feed(path.read_text())
        assert self.open == [], f"{path} leaves {self.open} open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.links += [value or "" for name, value in attrs if name in self.LINKS]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "script":
            self._look_at_script(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def _look_at_script(self, attributes: dict[str, str | None]) -> None:
        source = attributes.get("src")
        of_ours = source is not None and re.fullmatch(r"(?:\.\./)*assets/([\w.]+)", source)
        if attributes == {"type": "application/json"}:
            self.data.append("")
        elif not of_ours or of_ours[1] not in SCRIPTS:
            self.strange_scripts.append(attributes)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing in {self.path}"
        assert self.open.pop() == tag, f"</{tag}> in {self.path}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.data[-1] += data  # a file of ours has no text
        else:
            self.text += data


def read_site(site: Path) -> dict[Path, Page]:
    """Every page of a site."""
    return {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}


def broken_links(pages: dict[Path, Page]) -> list[str]:
    """Every link that leads out of the site, to no file or to no place in a page."""
    faults = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].ids if target in pages else []
            if (
                parts.scheme == "data"
                or PAPER.fullmatch(link)
                or (target.is_file() and (not parts.fragment or parts.fragment in known))
            ):
                continue
            faults.append(f"{path.name}: {link[:80]}")
    return faults
