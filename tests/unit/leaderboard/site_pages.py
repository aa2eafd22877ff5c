"""Reading the pages of a site without a browser."""

from __future__ import annotations

import html.parser
from pathlib import Path
from urllib.parse import unquote, urlsplit


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
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.feed(path.read_text())
        assert self.open == [], f"{path} leaves {self.open} open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.links += [value or "" for name, value in attrs if name in self.LINKS]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing in {self.path}"
        assert self.open.pop() == tag, f"</{tag}> in {self.path}"

    def handle_data(self, data: str) -> None:
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
            if parts.scheme == "data" or (target.is_file() and (not parts.fragment or parts.fragment in known)):
                continue
            faults.append(f"{path.name}: {link[:80]}")
    return faults
