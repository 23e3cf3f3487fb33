"""How soon the first page is there: `python -m benchmarks.first_page build/laptop-eps`, a built book, by a throttled
Chromium.

A line of 10 Mbit/s and 40 ms, files compressed as web servers do, nothing in the browser's cache. Printed and kept:
seconds from the request to the first text, and to the explorer drawn; median and range of five visits. Beside it the
seconds of a page that only counts, since no two machines are alike.
"""

from __future__ import annotations

import functools
import gzip
import http.server
import statistics
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import measure
from ldm.paths import ROOT

sys.path.insert(0, str(ROOT / "book"))
from pdf import chromium  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

VISITS = 5
LINE = {"offline": False, "latency": 40, "downloadThroughput": 10e6 / 8, "uploadThroughput": 10e6 / 8}
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
DRAWN = """() => new Promise((resolve) => { const look = () => document.querySelector(".ldm-chart[data-drawn]")
  ? resolve(performance.now() / 1000) : requestAnimationFrame(look); look(); })"""
COUNTING = """() => { const began = performance.now(); let s = 0; for (let i = 0; i < 2e8; i++) s += i % 7;
  return (performance.now() - began) / 1000; }"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """How often, and over which line."""

    visits: int = VISITS
    milliseconds: int = LINE["latency"]
    bytes_a_second: float = LINE["downloadThroughput"]


class Compressed(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, compressed, as public servers do."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            return self.send_error(404)
        body = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        for name, value in {
            "Content-Type": self.guess_type(str(path)),
            "Content-Encoding": "gzip",
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def visit(browser: Browser, address: str) -> tuple[float, float, float]:
    """Seconds to the first text, to the first chart, and of counting, in a browser that has never been here."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    context.new_cdp_session(page).send("Network.emulateNetworkConditions", LINE)
    page.goto(address, wait_until="commit")
    drawn = page.evaluate(DRAWN)
    times = page.evaluate(PAINTED), drawn, page.evaluate(COUNTING)
    context.close()
    return times


def main() -> None:
    from playwright.sync_api import sync_playwright  # here, so that a row's key is named without a browser

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/laptop-eps") / "_build/html"
    if not (folder / "index.html").is_file():
        sys.exit(f"{folder}: expected a built book; build it with `make book`, or name another folder.")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Compressed, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        address = f"http://127.0.0.1:{server.server_port}/notebooks/00_answer.html"
        rows, visits = [], zip(*(visit(browser, address) for _ in range(VISITS)), strict=True)
        for what, times in zip(("first text", "explorer drawn", "counting to 200 million"), visits, strict=True):
            print(f"{what:24} {statistics.median(times):5.2f} s  ({min(times):.2f} to {max(times):.2f})")
            rows.append(
                measure.row(times, "headless Chromium, 10 Mbit/s, 40 ms", task="first page", metric=f"seconds: {what}")
            )
    measure.keep(Case(), rows)
    server.shutdown()


if __name__ == "__main__":
    main()
