"""Pages in a browser: a folder is served, a page opened, and everything that goes wrong on it listed."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EXPLORER = 200_000  # bytes of the first page that are left for its explorer
CONTRAST = "color-contrast"  # half of axe's time
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which this machine serves a folder."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def visitor(browser, theme: str):
    """Somebody with a browser's memory of their own, who prefers a theme."""
    context = browser.new_context(color_scheme=theme, viewport={"width": 1200, "height": 900})
    context.set_default_timeout(300_000)  # a busy machine is slow, not wrong
    return context


def open_page(browser, address: str, theme: str, context=None):
    """A loaded page, and the list of everything that goes wrong on it from now on. context: a `visitor` who has seen
    others; a new one, unless given.
    """
    context = context or visitor(browser, theme)
    page, wrong = context.new_page(), []
    own = ("data:", "blob:", address.split("/")[0] + "//" + address.split("/")[2] + "/")
    page.on("request", lambda r: r.url.startswith(own) or wrong.append(f"off the host: {r.url}"))
    page.on("requestfailed", lambda r: wrong.append(f"failed: {r.url} {r.failure}"))
    page.on("response", lambda r: r.status >= 400 and wrong.append(f"{r.status}: {r.url}"))
    page.on("pageerror", lambda e: wrong.append(f"page error: {e}"))
    page.on("console", lambda m: m.type == "error" and wrong.append(f"console: {m.text}"))
    page.goto(address, wait_until="load")
    return page, wrong


def barriers(page, theme: str, **options) -> list[str]:
    """What axe-core finds serious or critical on a page: the rule, what it asks, and the first elements that break
    it. The options are axe's.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    options = {"resultTypes": ["violations"], "preload": False, **options}
    found = axe.run(page, options=options).response["violations"]
    return [
        f"{theme}: {v['id']}: {v['help']}: " + "; ".join(node["html"][:160] for node in v["nodes"][:3])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
