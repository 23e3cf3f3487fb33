"""The built book as one PDF: `python book/pdf.py --out build/laptop-eps` prints every page by Chromium and binds them.

    build/laptop-eps/_build/html -> build/laptop-eps/_build/html/book.pdf, and a link to it at the foot of each page;
                                the slides and sheets of the lessons beside their HTML, and links to them

Charts are vectors, folds are open, controls say what they are set to, and links lead to their place in the PDF
(`binding.py`). The playground and the pages about the code, a hundred of them, stay on the site. Needs a Chromium:
named by the variable CHROMIUM, on the path, or playwright's own.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from binding import Printed, bound, entries

from build import ROOT

SIZE = {
    "format": "A4",
    "margin": {"top": "16mm", "bottom": "18mm", "left": "15mm", "right": "15mm"},
    "print_background": True,
}
ACROSS = 680  # CSS pixels between these margins
SCREEN_ONLY = ("book/playground",)  # pages that are a machine to play with
SCRIPT = Path(__file__).with_name("paper.js")
HANDOUT = re.compile(r'<a href="((?:\.\./)*_static/lessons/([\w.-]+))\.html')
DRAWN = """() => [...document.querySelectorAll(".ldm-chart")].every((box) => box.dataset.failed || !box.clientWidth ||
  box.view && !box.drawing && box.dataset.drawn === "light" && Math.abs(box.clientWidth - box.drawnWidth) <= 8)"""


def chromium() -> str | None:
    """Path of the browser; None: the one that `playwright install chromium` brings."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def tab(**view: Any) -> Iterator[Any]:
    """A page of a browser (`playwright`), in light and without motion. view: what else it is opened with."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(color_scheme="light", reduced_motion="reduce", **view)
        page.set_default_timeout(300_000)
        yield page
        browser.close()


def places_named(folder: Path, pages: list[str]) -> dict[str, set[str]]:
    """Page -> the places on it that other pages lead to."""
    found: dict[str, set[str]] = {name: set() for name in pages}
    for name in pages:
        path = folder / f"{name}.html"
        for address, place in re.findall(r'href="([^"#:]+)\.html#([^"]+)"', path.read_text("utf-8")):
            target = os.path.relpath((path.parent / address).resolve(), folder.resolve())
            if target in found:
                found[target].add(unquote(place))
    return found


def printed(folder: Path, pages: list[str]) -> dict[str, Printed]:
    """Each page of a built book on paper.

    Raises: RuntimeError where a chart is not drawn: a PDF with a blank in it helps nobody.
    """
    found, wanted = {}, places_named(folder, pages)
    with tab(viewport={"width": ACROSS, "height": 1000}) as page:
        page.emulate_media(media="print")
        for name in pages:
            page.goto((folder / f"{name}.html").as_uri(), wait_until="load")
            page.add_script_tag(content=SCRIPT.read_text("utf-8"))
            page.evaluate("places => ldmPaper.opened(places)", sorted(wanted[name]))
            page.wait_for_function(DRAWN)
            if failed := page.eval_on_selector_all(
                ".ldm-chart[data-failed]", "all => all.map((b) => b.dataset.failed)"
            ):
                raise RuntimeError(f"{name}: {len(failed)} charts are not drawn: {failed[0]}.")
            page.evaluate("ldmPaper.stilled()")
            title = page.locator("h1").first.inner_text().rstrip("#").strip()
            found[name] = Printed(title, page.pdf(**SIZE))
    return found


def handouts(folder: Path) -> list[Path]:
    """Print the slides and sheets of the lessons, each beside its HTML; returns the PDFs."""
    pages = sorted((folder / "_static/lessons").glob("*.html"))
    with tab() as page:
        for path in pages:
            page.goto(path.as_uri(), wait_until="load")
            page.pdf(path=path.with_suffix(".pdf"), prefer_css_page_size=True, print_background=True)
    return [path.with_suffix(".pdf") for path in pages]


def on_paper(text: str, margin: Mapping[str, Any]) -> bytes:
    """HTML as a PDF of A4."""
    with tab() as page:
        page.set_content(text)
        return page.pdf(format="A4", margin=dict(margin), print_background=True)


def offer(folder: Path) -> None:
    """Put a link to book.pdf beside that to the credits, at the foot of every page; a book without a PDF has none.

    The PDF of a lesson's slides or sheet is offered beside each link to these.
    """
    for path in folder.rglob("*.html"):
        before = text = path.read_text("utf-8")
        for address, name in set(HANDOUT.findall(text)):
            if (folder / f"_static/lessons/{name}.pdf").is_file() and f'{address}.pdf"' not in text:
                label = "PDF, with answers" if name.endswith(".slides") else "PDF"  # on paper nothing is hidden
                link = f'(<a href="{address}.pdf">{label}</a>)'
                text = re.sub(rf'(<a href="{re.escape(address)}\.html[^>]*>[^<]*</a>)', rf"\1 {link}", text)
        if text != before:
            path.write_text(text, "utf-8")
        if "book.pdf" not in text and (
            credits := re.search(r'href="((?:\.\./)*)book/credits.html">the credits</a>', text)
        ):
            link = f'{credits[0]}; <a href="{credits[1]}book.pdf">this book as a PDF</a>'
            path.write_text(text.replace(credits[0], link), "utf-8")


def main() -> int:
    """Print and bind, and say where it is; one sentence and status 1 where there is no book."""
    parser = argparse.ArgumentParser(description="The built book as one PDF.")
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="where the book was built")
    out = parser.parse_args().out.resolve()
    folder = out / "_build/html"
    if not (folder / "index.html").is_file():
        print(f"There is no book in {out}: build it first, by `make study` or `make book`.", file=sys.stderr)
        return 1
    import yaml

    toc = entries(yaml.safe_load((ROOT / "book/_toc.yml").read_text("utf-8")))
    home = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["html"].get("baseurl") or ""
    try:
        pages = printed(folder, [entry.page for entry in toc if entry.page not in SCREEN_ONLY])
        book = bound(folder, pages, toc, on_paper, home)
        sheets = handouts(folder)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    book.write(folder / "book.pdf")
    offer(folder)
    print(f"The book on paper, {len(book.pages)} pages: {(folder / 'book.pdf').as_uri()}")
    print(f"The lessons on paper: {', '.join(path.name for path in sheets)} in {folder / '_static/lessons'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
