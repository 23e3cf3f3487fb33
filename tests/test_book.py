"""The built book in a browser: self-contained, no error, every chart drawn, light and dark.

Two books: a small one made from tests/data/tour.py, and the real one of the smoke profile, as
`make study` builds it. Needs a Chromium: named by the variable CHROMIUM, on the path, or playwright's own.
"""

from __future__ import annotations

import doctest
import functools
import gzip
import http.server
import json
import os
import re
import shutil
import sys
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from ldm.figures import explorer, samples, speed
from ldm.files import hold
from ldm.profiles import LAPTOP
from ldm.study import findings
from ldm.study.results import Store
from tests import tour

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
import pdf  # noqa: E402

import build  # noqa: E402
import links  # noqa: E402

ROOT = Path(__file__).parents[1]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]
EXPLORER = 200_000  # bytes


def brought() -> str | None:
    """The Chromium that `playwright install chromium` has brought, if it has."""
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


CHROMIUM = pdf.chromium() or brought()
needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("LDM_DEMAND_BROWSER"),
    reason="no chromium found: .venv/bin/playwright install chromium, or set CHROMIUM",
)


@functools.cache
def small_book() -> Path:
    """A book of one made-up notebook and the real pages, built with warnings as errors."""
    root = tour.executed().parent / "root"
    for folder in ("book", "ldm"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(tour.DATA / "_toc.yml", root / "book/_toc.yml")
    for page in root.glob("book/*.md"):  # links to chapters that the small book lacks
        link = r"\[([^\]]*)\]\([^)]+\.ipynb\)"
        page.write_text(re.sub(link, lambda found: found[1] or "there", page.read_text()))
    return build.build(root, root / "build", tour.executed().parent).parent


@pytest.fixture(scope="module")
def browser():
    playwright = sync_playwright().start()
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield chromium
    chromium.close()
    playwright.stop()


@pytest.fixture(scope="module", params=["small", "real"])
def site(request):
    """Address of a book served on this machine, and its pages."""
    if request.param == "small":
        folder = small_book()
    else:
        folder = request.getfixturevalue("smoke_study") / "_build/html"
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages = [
        str(p.relative_to(folder))
        for p in sorted(folder.rglob("*.html"))
        if "_static" not in p.parts and 'http-equiv="Refresh"' not in p.read_text()
    ]
    if request.param == "small":  # its other pages are in the real one, too
        pages = [page for page in pages if not page.startswith("book/")]
    of_code = [
        page for page in pages if page.startswith("book/code/")
    ]  # all made in one way: the packages, and a few files
    few = of_code[:: len(of_code) // 3 or 1] + [page for page in of_code if (ROOT / "ldm" / Path(page).stem).is_dir()]
    pages = [page for page in pages if page not in of_code or page in few]
    yield f"http://127.0.0.1:{server.server_port}/", pages
    server.shutdown()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, *_: object) -> None:
        pass


def open_page(browser, address: str, theme: str):
    """A loaded page, and the list of everything that goes wrong on it from now on."""
    context = browser.new_context(color_scheme=theme, viewport={"width": 1200, "height": 900})
    context.set_default_timeout(300_000)  # a busy machine is slow, not wrong
    page, wrong = context.new_page(), []
    own = ("data:", "blob:", address.split("/")[0] + "//" + address.split("/")[2] + "/")
    page.on("request", lambda r: r.url.startswith(own) or wrong.append(f"off the host: {r.url}"))
    page.on("requestfailed", lambda r: wrong.append(f"failed: {r.url} {r.failure}"))
    page.on("response", lambda r: r.status >= 400 and wrong.append(f"{r.status}: {r.url}"))
    page.on("pageerror", lambda e: wrong.append(f"page error: {e}"))
    page.on("console", lambda m: m.type == "error" and wrong.append(f"console: {m.text}"))
    page.goto(address, wait_until="load")
    return page, wrong


def charts(page, theme: str, *, scroll: bool = False) -> list[dict]:
    """Have every visible chart drawn for `theme`, by scrolling to it or else all at once as for paper, and describe
    it.
    """
    boxes = [
        box for box in page.query_selector_all(".ldm-chart") if box.evaluate("box => box.clientWidth > 0")
    ]  # no closed fold
    if scroll:
        for box in boxes:
            box.evaluate("box => box.scrollIntoView({block: 'center'})")
            page.wait_for_function("box => box.dataset.failed || box.view", arg=box)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(
        "([boxes, theme]) => boxes.every((box) => box.dataset.failed || box.dataset.drawn === theme"
        " && !box.drawing && Math.abs(box.clientWidth - box.drawnWidth) <= 8)",
        arg=[boxes, theme],
    )
    return page.evaluate(
        """(boxes) => boxes.map((box) => ({
            label: box.getAttribute("aria-label"), failed: box.dataset.failed ?? null,
            marks: box.querySelectorAll(
              "svg .mark-symbol path, svg .mark-rect path, svg .mark-area path, svg .mark-image image").length,
            bad: /NaN|undefined|Infinity/.test(box.querySelector("svg")?.outerHTML ?? "NaN"),
            over: (box.querySelector("svg")?.getBoundingClientRect().right ?? 0)
              - box.getBoundingClientRect().right}))""",
        boxes,
    )


def barriers(page, theme: str, rules: list[str]) -> list[str]:
    """What axe-core finds serious or critical on a page: the rule, what it asks, and the first elements that break
    it.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    options = {"resultTypes": ["violations"], "preload": False, **({"runOnly": rules} if rules else {})}
    found = axe.run(page, options=options).response["violations"]
    return [
        f"{theme}: {v['id']}: {v['help']}: " + "; ".join(node["html"][:160] for node in v["nodes"][:3])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


@needs_browser
def test_every_page_is_self_contained_and_accessible_and_draws_every_chart_light_dark_and_narrow(site, browser):
    address, pages = site
    assert pages
    drawn, wrong_pages = 0, []
    for name in pages:
        page, wrong = open_page(browser, address + name, "light")
        for theme, width in (("light", 1200), ("dark", 390)):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
            for chart in charts(page, theme):
                if chart["failed"] or not chart["marks"] or chart["bad"]:
                    wrong.append(f"not drawn: {chart}")
                if chart["over"] > 2:
                    wrong.append(f"wider than {width} px: {chart}")
                drawn += 1
            if sideways := page.evaluate("document.documentElement.scrollWidth - innerWidth"):
                wrong.append(f"scrolls sideways by {sideways} px at {width} px")
        # For axe, the thousand marks in charts are Vega's business, and the menu is the same on every page.
        page.evaluate(
            "document.querySelectorAll('.ldm-chart').forEach((b) => { b.view = null; b.querySelector('svg >"
            " g')?.remove(); })"
        )
        # the theme mends it a moment after a resize
        wide = "(box) => box.scrollWidth > box.clientWidth && box.tabIndex < 0"
        page.wait_for_function(f"![...document.querySelectorAll('pre, .output[tabindex]')].some({wide})")
        if name != pages[0]:
            page.evaluate(
                "document.querySelectorAll('.bd-sidebar-primary, .bd-header').forEach((part) => part.remove())"
            )
        wrong += barriers(page, "dark", []) + barriers(page, "light", ["color-contrast"])
        wrong_pages += [f"{name}: {what}" for what in wrong]
        page.context.close()
    assert not wrong_pages, "\n".join(wrong_pages)
    assert drawn > 0


@needs_browser
def test_the_book_opens_from_the_disk_and_in_the_dark(browser):
    page, wrong = open_page(browser, f"file://{small_book()}/notebooks/tour.html", "dark")
    assert len(charts(page, "dark", scroll=True)) == 9
    page.wait_for_selector("mjx-container", state="attached")
    assert not wrong
    page.context.close()


@needs_browser
def test_nothing_moves_for_those_who_ask_for_it(browser):
    moving = """() => [...document.querySelectorAll("*")].flatMap((element) => ["", "::before", "::after"].map((part) =>
    {
      const style = getComputedStyle(element, part);
      return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0 || style.scrollBehavior ===
      "smooth";
    })).filter(Boolean).length"""
    counts = {}
    for wish in ("no-preference", "reduce"):
        page = browser.new_page(reduced_motion=wish)
        page.set_default_timeout(300_000)
        page.goto(f"file://{small_book()}/notebooks/tour.html", wait_until="load")
        counts[wish] = page.evaluate(moving)
        page.close()
    assert counts["no-preference"] > 0 == counts["reduce"]


@needs_browser
def test_on_paper_every_chart_is_drawn_and_links_between_pages_lead_to_the_page(tmp_path):
    reader = pytest.importorskip("pypdf")
    names = ["notebooks/tour", "book/provenance", "book/protocol"]
    with ThreadPoolExecutor() as other:  # in this thread the fixture's playwright runs
        pages = other.submit(pdf.printed, small_book(), names).result()
    bound = pdf.bound(small_book(), pages)
    bound.write(tmp_path / "book.pdf")
    book = reader.PdfReader(tmp_path / "book.pdf")
    assert [entry.title for entry in book.outline] == [title for title, _ in pages.values()]
    first = [book.get_destination_page_number(entry) for entry in book.outline]
    assert "sampling cost" in "".join(
        page.extract_text() for page in book.pages[: first[1]]
    )  # an axis: charts are vectors
    found = [link.get_object() for page in book.pages[first[1] : first[2]] for link in page.get("/Annots", [])]
    led = [book.get_page_number(link["/Dest"][0].get_object()) for link in found if isinstance(link.get("/Dest"), list)]
    assert first[2] in led and not any("protocol.html" in str(link.get("/A")) for link in found)


def test_every_page_is_offered_the_pdf_once_and_the_link_leads_to_it(tmp_path):
    foot = '<p>see <a href="{}book/credits.html">the credits</a>.</p>'
    for name, depth in (("index.html", ""), ("notebooks/a.html", "../")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(foot.format(depth))
    (tmp_path / "book.pdf").touch()
    (tmp_path / "book").mkdir()
    (tmp_path / "book/credits.html").write_text("no foot")
    for _ in range(2):
        pdf.offer(tmp_path)
    texts = [(tmp_path / name).read_text() for name in ("index.html", "notebooks/a.html", "book/credits.html")]
    assert [text.count("book.pdf") for text in texts] == [1, 1, 0] and not links.broken(tmp_path)


@needs_browser
def test_the_first_page_is_light(site, browser):
    """What a browser loads until the explorer is drawn, compressed as web servers do, stays under a megabyte.

    The real one is of the smoke profile and has few rows: room is left for the explorer of the published ones.
    """
    page, loaded = browser.new_page(), []
    page.set_default_timeout(300_000)
    page.on("response", lambda response: loaded.append(response))
    page.goto(site[0] + "index.html", wait_until="load")
    page.wait_for_selector(".ldm-chart[data-drawn]")
    bodies = {r.url: r.body() for r in loaded if not r.url.endswith("/index.html")}  # which leads on
    assert any("vega.js" in url for url in bodies)
    room = 0 if "notebooks/tour.html" in site[1] else EXPLORER
    assert sum(min(len(body), len(gzip.compress(body))) for body in bodies.values()) < 1e6 - room
    page.close()


def test_the_explorer_of_the_published_rows_fits_into_the_room_left_for_it(tmp_path):
    """With every picture that it may show. Chances that are not paired change more often than paired ones: no fewer
    bytes.
    """
    store = Store(ROOT)
    rows = findings.whole_grid(store, LAPTOP)
    seconds = speed.seconds_a_picture(store.rows(study="benchmark", profile="laptop"))
    metrics = ["kid_effnet", "kid_scene", "subject"]  # those of notebooks/00_answer.py
    chart = explorer.budget_explorer(rows, metrics, pictures=lambda key: samples.thumbnail(store, key), seconds=seconds)
    page = gzip.compress(build.chart(chart.to_dict(), tmp_path).encode())
    assert 1e5 < len(page) + sum(path.stat().st_size for path in tmp_path.iterdir()) < EXPLORER


@needs_browser
def test_the_budget_slider_changes_the_winner_by_keyboard_and_survives_a_change_of_theme(browser):
    page, wrong = open_page(browser, f"file://{small_book()}/notebooks/tour.html", "light")
    charts(page, "light")
    box = page.query_selector(".ldm-chart")

    def texts(start: str) -> list[str]:
        every = box.eval_on_selector_all("svg text", "all => all.map(t => t.textContent)")
        return [text for text in every if start in text]

    def move(key: str) -> list[str]:
        before = texts("budget ")
        box.query_selector("input[type=range]").press(key)
        while texts("budget ") == before:
            page.wait_for_timeout(20)
        return texts("◀ best")

    cheapest, dearest = move("Home"), move("End")
    assert len(cheapest) == len(dearest) == 1 and cheapest != dearest
    budget = texts("budget ")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("box => box.dataset.drawn === 'dark'", arg=box)
    assert texts("budget ") == budget
    assert not wrong
    page.context.close()


@needs_browser
def test_the_pictures_between_two_captions_are_walked_through_by_keyboard(browser):
    page, wrong = open_page(browser, f"file://{small_book()}/notebooks/tour.html", "light")
    charts(page, "light")
    box = page.query_selector('.ldm-chart[aria-label^="drag from caption B"]')
    seen = set()
    for key in ("Home", "ArrowRight", "ArrowRight", "End"):
        box.query_selector("input[type=range]").press(key)
        page.wait_for_timeout(100)
        seen.add(tuple(box.eval_on_selector_all("svg image", "all => all.map((image) => image.getAttribute('href'))")))
    assert len(seen) == 4 and all(len(pictures) == 2 for pictures in seen)
    assert not wrong
    page.context.close()


def test_a_warning_fails_the_build_however_often_it_is_tried(tmp_path):
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "book").mkdir()
    (tmp_path / "book/references.bib").touch()
    (tmp_path / "book/_toc.yml").write_text("format: jb-book\nroot: book/page\n")
    (tmp_path / "book/page.md").write_text("# A page\n\nIt names [another](nowhere.md).\n")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="warnings or errors"):
            build.build(tmp_path, tmp_path / "build")


def test_the_same_book_is_built_to_the_byte(tmp_path, monkeypatch):
    """Of a chapter with charts and two pages, in two folders."""
    monkeypatch.setattr(build, "vendor", lambda static: None)  # copies, and files named by what made them
    shutil.copy(ROOT / "_config.yml", tmp_path)
    shutil.copytree(ROOT / "book/_static", tmp_path / "book/_static")
    for page in ("credits.md", "references.md", "references.bib"):
        shutil.copy(ROOT / "book" / page, tmp_path / "book")
    toc = "format: jb-book\nroot: notebooks/tour\nchapters:\n  - file: book/credits\n  - file: book/references\n"
    (tmp_path / "book/_toc.yml").write_text(toc)
    made = [build.build(tmp_path, tmp_path / name, tour.executed().parent).parent for name in ("one", "other")]
    files = [{path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()} for folder in made]
    assert files[0].keys() == files[1].keys() and len(files[0]) > 20
    differ = [str(name) for name, path in files[0].items() if path.read_bytes() != files[1][name].read_bytes()]
    assert not differ


def test_two_do_not_build_one_book_at_once(tmp_path):
    with hold(tmp_path / "book.lock"), pytest.raises(RuntimeError, match="book.lock is held by another process"):
        build.build(ROOT, tmp_path, tmp_path)


def test_a_chapter_that_was_not_executed_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="not executed yet: 00_answer, .*make notebook N=00_answer"):
        build.stage(ROOT, tmp_path / "source", tmp_path / "nothing")


def test_markup_inside_a_chart_cannot_end_its_script_and_recorded_numbers_are_not_shown():
    spec = {"description": 'a "b" <c>', "title": "</script>", "$schema": "x"}
    element = build.chart(spec)
    assert element.count("</script>") == 1 and "&quot;b&quot; &lt;c&gt;" in element
    cells = [
        {"outputs": [{"data": {build.RESULTS: {"a": 1}}}, {"data": {build.VEGALITE: spec}}]},
        {"source": "no outputs"},
    ]
    shown = json.loads(build.for_readers(json.dumps({"cells": cells})))["cells"]
    assert [list(o["data"]) for o in shown[0]["outputs"]] == [["text/html"]]


def test_a_chapter_says_how_it_was_made_and_its_links_lead_to_pages(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# A title\n", "\n", "Text."]},
        {
            "cell_type": "code",
            "outputs": [{"data": {"text/markdown": "[a](b.ipynb#c), [d](../e.md), [f](https://x.org/g.md)"}}],
        },
    ]
    given = {"profile": "smoke", "steps": [4, 8], "metric": "kid_effnet", "folder": "my pictures"}
    notebook = json.dumps({"cells": cells, "metadata": {"papermill": {"parameters": given}}})
    title, output = json.loads(build.for_readers(notebook, tmp_path, "04_sampling"))["cells"]
    made = (
        "make notebook N=04_sampling PROFILE=smoke ARGS=\"-p steps 4,8 -p metric kid_effnet -p folder 'my pictures'\""
    )
    assert title["source"].startswith(f"# A title\n\n*Run this page again: `{made}`.") and title["source"].endswith(
        "\n\nText."
    )
    assert output["outputs"][0]["data"]["text/markdown"] == "[a](b.html#c), [d](../e.html), [f](https://x.org/g.md)"
    assert build.command("05_samplers", {"profile": "laptop"}) == "make notebook N=05_samplers"
    first = json.loads(build.for_readers(notebook, tmp_path, "00_answer", foot=True))["cells"][0]["source"]
    assert first.startswith("# A title\n\nText.\n\n*Run this page again: `make notebook N=00_answer PROFILE=smoke ")


def test_every_page_of_the_book_is_in_its_table_of_contents():
    named = set(build.chapters(ROOT / "book/_toc.yml"))
    written = {f"book/{p.stem}" for p in ROOT.glob("book/*.md")}
    assert written <= named
    assert all((ROOT / f"{page}.py").is_file() for page in named if page.startswith("notebooks/"))


def test_the_errata_prove_themselves():
    """The page's code prints what the page says it prints, and these are the numbers of its text."""
    page = (ROOT / "book/errata.md").read_text()
    code = "\n".join(re.findall(r"```pycon\n(.*?)```", page, re.S))
    found, told = doctest.DocTestParser().get_doctest(code, {}, "errata", "book/errata.md", 0), []
    assert len(found.examples) > 10
    assert not doctest.DocTestRunner().run(found, out=told.append).failed, "".join(told)
    text = re.sub(r"```pycon\n.*?```", "", page, flags=re.S)
    for number in ("0.03", "0.07", "56.8", "788.5", "0.072", "222,984,164", "54", "62", "2.6", "5.3", "8202"):
        assert number in text and number in code, number


def test_every_work_that_a_page_names_with_its_year_is_in_the_references():
    works = re.findall(r"author=\{([^,]+),.*?year=\{(\d{4})\}\}", (ROOT / "book/references.bib").read_text())
    known = {(re.sub(r"\W", "", family), year) for family, year in works}
    names = r"([A-Z][\w-]+)(?:,? (?:et al\.|and [A-Z]\w+)|, [A-Z]\w+ and [A-Z]\w+) \(?(\d{4})"
    for path in [*ROOT.glob("notebooks/*.py"), *ROOT.glob("book/*.md")]:
        text = re.sub(r"\n(?:# )?", " ", path.read_text())
        for family, year in re.findall(names, text):
            assert (
                unicodedata.normalize("NFD", family).encode("ascii", "ignore").decode(),
                year,
            ) in known, f"{path.name}: {family} {year}"
