"""The built book in a browser: self-contained, no error, every chart drawn, light and dark, and on paper.

Two books: a small one made from tests/data/tour.py, and the real one of the smoke profile, as
`make study` builds it.
"""

from __future__ import annotations

import gzip
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.pages import CONTRAST, EXPLORER, barriers, open_page, served, visitor

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
import binding  # noqa: E402
import pdf  # noqa: E402

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.study  # both books are made of executed notebooks


MEMBERS = 20  # of a page of code, that axe looks at
PARTS = 2  # of the real book's pages, so that two processes can look at them


@pytest.fixture(scope="module", params=["small", *(f"real {part}" for part in range(PARTS))])
def site(request):
    """Address of a book served on this machine, and its pages: all of the small one's, a part of the real one's."""
    small = request.param == "small"
    folder = request.getfixturevalue("small_book") if small else request.getfixturevalue("smoke_study") / "_build/html"
    pages = [
        str(p.relative_to(folder))
        for p in sorted(folder.rglob("*.html"))
        if "_static" not in p.parts and 'http-equiv="Refresh"' not in p.read_text()
    ]
    if small:  # its other pages are in the real one, too
        pages = [page for page in pages if not page.startswith("book/")]
    of_code = [
        page for page in pages if page.startswith("book/code/")
    ]  # all made in one way: the packages, and a few files
    few = of_code[:: len(of_code) // 3 or 1] + [page for page in of_code if (ROOT / "ldm" / Path(page).stem).is_dir()]
    pages = [page for page in pages if page not in of_code or page in few]
    pages = pages if small else pages[int(request.param.split()[1]) :: PARTS]
    with served(folder) as address:
        yield address, pages


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


def test_every_page_is_self_contained_and_accessible_and_draws_every_chart_light_dark_and_narrow(site, browser):
    address, pages = site
    assert pages
    drawn, wrong_pages = 0, []
    kinds = {}
    for name in pages:
        kinds.setdefault(Path(name).parent, []).append(name)
    some = {name for kind in kinds.values() for name in kind[::4]}  # pages of a kind share their colours in the light
    coloured = some | {name for name in pages if not name.startswith("book/code/")}
    reader = visitor(browser, "light")  # who keeps the scripts that all pages have
    for name in pages:
        page, wrong = open_page(browser, address + name, "light", reader)
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
        # And what docstrings say is laid out in one way, of which axe need not see hundreds.
        page.evaluate(f"[...document.querySelectorAll('dl.py')].slice({MEMBERS}).forEach((part) => part.remove())")
        # the theme mends it a moment after a resize
        wide = "(box) => box.scrollWidth > box.clientWidth && box.tabIndex < 0"
        page.wait_for_function(f"![...document.querySelectorAll('pre, .output[tabindex]')].some({wide})")
        if name != pages[0]:
            page.evaluate(
                "document.querySelectorAll('.bd-sidebar-primary, .bd-header').forEach((part) => part.remove())"
            )
        wrong += barriers(page, "dark", rules={CONTRAST: {"enabled": name in coloured}})
        wrong += barriers(page, "light", runOnly=[CONTRAST]) if name in some else []  # nothing else may differ
        wrong_pages += [f"{name}: {what}" for what in wrong]
        page.close()
    reader.close()
    assert not wrong_pages, "\n".join(wrong_pages)
    assert drawn > 0


def test_the_book_opens_from_the_disk_and_in_the_dark(browser, small_book):
    page, wrong = open_page(browser, f"file://{small_book}/notebooks/tour.html", "dark")
    assert len(charts(page, "dark", scroll=True)) == 9
    page.wait_for_selector("mjx-container", state="attached")
    assert not wrong
    page.context.close()


def test_nothing_moves_for_those_who_ask_for_it(browser, small_book):
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
        page.goto(f"file://{small_book}/notebooks/tour.html", wait_until="load")
        counts[wish] = page.evaluate(moving)
        page.close()
    assert counts["no-preference"] > 0 == counts["reduce"]


def test_on_paper_every_chart_is_drawn_links_lead_to_their_place_and_pages_are_numbered(tmp_path, chromium, small_book):
    reader = pytest.importorskip("pypdf")
    toc = binding.entries(
        {
            "root": "notebooks/tour",
            "parts": [{"caption": "Back", "chapters": [{"file": f"book/{n}"} for n in ("protocol", "references")]}],
        }
    )
    names = [entry.page for entry in toc]
    with ThreadPoolExecutor() as other:  # in this thread the fixture's playwright runs
        pages = other.submit(pdf.printed, small_book, names).result()
        bound = other.submit(binding.bound, small_book, pages, toc, pdf.on_paper).result()
    bound.write(tmp_path / "book.pdf")
    book = reader.PdfReader(tmp_path / "book.pdf")
    tour, part, (protocol, references) = book.outline
    assert [each.title for each in (tour, protocol, references)] == [pages[name].title for name in names]
    assert part.title == "Back"
    first = [book.get_destination_page_number(each) for each in (tour, protocol, references)]
    text = [page.extract_text() for page in book.pages]
    assert first[0] == 1 and all(f"{one + 1}" in text[0] for one in first), "the contents say on which page each begins"
    assert all(text[k].rstrip().endswith(f" · {k + 1}") or f" · {k + 1}\n" in text[k] for k in range(1, len(text)))
    assert "sampling cost" in "".join(text[: first[1]])  # an axis: charts are vectors
    words = " ".join("".join(text[: first[1]]).split())
    said, under = (words.split(each)[1].split()[0] for each in ("sampling budget: ", "dashed: the budget, "))
    assert said == under, "what one chooses by is said in words: the budget, not the slider's place"
    links = [[link.get_object() for link in page.get("/Annots", [])] for page in book.pages]
    assert not any(str(link.get("/A", {}).get("/URI", "")).startswith("file:") for page in links for link in page)
    led = [[book.get_page_number(link["/Dest"][0].get_object()) for link in page if "/Dest" in link] for page in links]
    assert first[2] in [to for page in led[first[1] : first[2]] for to in page]
    works = [
        link["/Dest"]
        for page in links[first[1] : first[2]]
        for link in page
        if "/Dest" in link and book.get_page_number(link["/Dest"][0].get_object()) >= first[2]
    ]
    assert len({float(place[3]) for place in works}) > 5, (
        "each link to a work leads to it, not to the list's first page"
    )


def test_the_first_page_is_light(site, browser):
    """What a browser loads until the explorer is drawn, compressed as web servers do, stays under a megabyte.

    One formula on the page would load a quarter of that.

    The real one is of the smoke profile and has few rows: room is left for the explorer of the published ones.
    """
    page, loaded = browser.new_page(), []
    page.set_default_timeout(300_000)
    page.on("response", lambda response: loaded.append(response))
    page.goto(site[0] + "index.html", wait_until="load")
    page.wait_for_selector(".ldm-chart", state="attached").scroll_into_view_if_needed()  # drawn when it comes near
    page.wait_for_selector(".ldm-chart[data-drawn]")
    bodies = {r.url: r.body() for r in loaded if not r.url.endswith("/index.html")}  # which leads on
    assert any("vega.js" in url for url in bodies)
    room = 0 if "notebooks/tour.html" in site[1] else EXPLORER
    assert sum(min(len(body), len(gzip.compress(body))) for body in bodies.values()) < 1e6 - room
    page.close()


def test_the_budget_slider_changes_the_winner_by_keyboard_and_survives_a_change_of_theme(browser, small_book):
    page, wrong = open_page(browser, f"file://{small_book}/notebooks/tour.html", "light")
    charts(page, "light")
    box = page.query_selector(".ldm-chart")

    def texts(start: str) -> list[str]:
        every = box.eval_on_selector_all("svg text", "all => all.map(t => t.textContent)")
        return [text for text in every if start in text]

    def move(key: str) -> list[str]:
        before = box.query_selector("output").inner_text()
        box.query_selector("input[type=range]").press(key)
        page.wait_for_function(
            "([box, before]) => box.querySelector('output').textContent !== before", arg=[box, before]
        )
        [said] = texts("dashed: the budget, ")
        assert said.endswith(f" {box.query_selector('output').inner_text()}"), "beside the slider and under the chart"
        return texts("◀ best")

    cheapest, dearest = move("Home"), move("End")
    assert len(cheapest) == len(dearest) == 1 and cheapest != dearest
    budget = texts("dashed: ")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("box => box.dataset.drawn === 'dark'", arg=box)
    assert texts("dashed: ") == budget and len(budget) == 1
    assert not wrong
    page.context.close()


def test_on_a_phone_the_slider_stays_in_view_while_one_looks_at_what_it_changes(browser, small_book):
    page = browser.new_page(viewport={"width": 390, "height": 500})
    page.set_default_timeout(300_000)
    page.goto(f"file://{small_book}/notebooks/tour.html", wait_until="load")
    charts(page, "light", scroll=True)
    box = page.query_selector(".ldm-chart")
    slider, drawn = box.query_selector("input[type=range]"), box.query_selector("svg.marks")
    drawn.evaluate("svg => scrollTo(0, scrollY + svg.getBoundingClientRect().bottom - innerHeight + 20)")
    page.wait_for_timeout(200)
    top, below = slider.bounding_box()["y"], drawn.bounding_box()
    assert 0 <= top < 150 and below["y"] < 0 < below["y"] + below["height"] <= 500
    at_it = "slider => document.elementFromPoint(195, slider.getBoundingClientRect().top + 8) === slider"
    assert slider.evaluate(at_it), "something lies above the slider"
    page.close()


def test_the_pictures_between_two_captions_are_walked_through_by_keyboard(browser, small_book):
    page, wrong = open_page(browser, f"file://{small_book}/notebooks/tour.html", "light")
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


@pytest.mark.parametrize("width", [390, 1280])
def test_a_link_to_a_place_lands_there_although_charts_above_it_are_drawn_later(browser, small_book, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_default_timeout(300_000)
    page.goto(f"file://{small_book}/notebooks/tour.html#in-the-middle", wait_until="load")
    top = """() => document.querySelector('#in-the-middle h2').getBoundingClientRect().top
      - Math.max(0, document.querySelector('.bd-header-article').getBoundingClientRect().bottom)"""
    kept = page.eval_on_selector_all(".ldm-chart:not([data-drawn])", "all => all.map((box) => box.offsetHeight)")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")  # every chart, as if the reader had waited for all
    page.wait_for_function("[...document.querySelectorAll('.ldm-chart')].every((b) => b.dataset.drawn && !b.drawing)")
    page.wait_for_timeout(200)
    assert abs(page.evaluate(top)) < 40
    drawn = page.eval_on_selector_all(".ldm-chart", "all => all.map((box) => box.offsetHeight)")
    moved = [a - b for a, b in zip(kept, drawn, strict=True)] if len(kept) == len(drawn) else []
    assert all(abs(by) <= 12 for by in moved), moved
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")  # as by the scroll bar
    page.wait_for_timeout(100)
    page.eval_on_selector(".ldm-share details", "fold => { fold.open = true; }")  # the page grows
    page.wait_for_timeout(200)
    assert page.evaluate("scrollY") < 100, "whoever has left is not taken back"
    page.close()


def test_what_is_set_in_the_explorer_stands_in_the_address_and_comes_back_from_it(browser, small_book):
    page, wrong = open_page(browser, f"file://{small_book}/notebooks/tour.html", "light")
    charts(page, "light")
    page.select_option(".ldm-chart select", index=1)  # the second metric
    page.query_selector(".ldm-chart input[type=range]").press("ArrowRight")
    budget = "document.querySelector('.ldm-chart').view.signal('budget')"
    said = "new URLSearchParams(location.hash.slice(1))"  # written a moment after the last move
    page.wait_for_function(
        f"{said}.get('metric') === 'alignment' && Math.abs({said}.get('budget') / {budget} - 1) < 1e-3"
        f" && Math.abs({said}.get('budget') - 1.02) > 0.01"
    )
    set_to, address = page.evaluate(budget), page.evaluate("location.href")
    other, also_wrong = open_page(browser, address, "light")
    other.wait_for_selector(".ldm-chart[data-drawn]")
    assert other.evaluate(budget) == pytest.approx(set_to, rel=1e-3)
    assert other.eval_on_selector(".ldm-chart select", "menu => menu.value") == "alignment"
    other.evaluate("location.hash = location.hash.replace('alignment', 'nothing')")  # what there is not is passed over
    other.wait_for_timeout(100)
    assert other.eval_on_selector(".ldm-chart select", "menu => menu.value") == "alignment"
    assert not wrong and not also_wrong
    page.context.close()
    other.context.close()


def test_a_command_is_copied_and_a_figure_s_code_names_where_the_book_lies(browser, small_book):
    with served(small_book) as address:
        page, wrong = open_page(browser, address + "notebooks/tour.html", "light")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        commands = page.wait_for_selector("em > code.command + button") and page.query_selector_all("code.command")
        beside = [code.evaluate("code => code.nextElementSibling?.className ?? ''") for code in commands]
        assert len(commands) > 2 and all("copybtn" in name for name in beside)
        page.focus("em > code.command + button")
        page.keyboard.press("Enter")
        page.wait_for_selector("button.copybtn.success")
        assert page.evaluate("navigator.clipboard.readText()").startswith("make notebook N=tour ")
        page.focus(".ldm-share summary")
        page.keyboard.press("Enter")
        assert page.eval_on_selector(".ldm-share", "share => getComputedStyle(share).opacity") != "0"
        code = page.inner_text("code.ldm-embed")
        framed = page.context.new_page()
        framed.set_content(f"<h1>Elsewhere</h1>{code}")
        framed.frame_locator("iframe").locator(".ldm-chart[data-drawn]").wait_for()
        assert f'src="{address}_static/figures/tour/figure-' in code and not wrong
        page.context.close()


def test_the_playground_keeps_its_settings_in_the_address(browser, small_book):
    with served(small_book) as address:
        page, wrong = open_page(browser, address + "book/playground.html", "light")
        page.wait_for_selector("#playground select[name=network]")
        page.select_option("#playground select[name=network]", index=1)
        page.fill("#playground input[name=seed]", "7")
        network = page.eval_on_selector("#playground select[name=network]", "menu => menu.value")
        link = page.evaluate("location.href").replace("steps=10", "steps=4").replace("kind=hilly", "kind=nothing")
        other, _ = open_page(browser, link, "light")
        other.wait_for_selector("#playground select[name=network]")
        value = lambda name: other.eval_on_selector(f"#playground [name={name}]", "field => field.value")
        assert [value(name) for name in ("network", "seed", "steps", "kind")] == [
            network,
            "7",
            "4",
            "hilly",
        ] and not wrong
        page.context.close()
        other.context.close()


@pytest.mark.parametrize(("words", "where"), [("made up", "notebooks/tour.html"), ("Fréchet", "book/metrics.html")])
def test_the_search_finds_what_chapters_and_pages_say(browser, small_book, words, where):
    with served(small_book) as address:
        page, wrong = open_page(browser, f"{address}search.html?q={words}", "light")
        page.wait_for_selector("#search-results li a")
        page.wait_for_function("!document.querySelector('#search-results li:last-child')?.matches(':only-child:empty')")
        links = "all => all.map((link) => link.getAttribute('href'))"
        assert any(where in link for link in page.eval_on_selector_all("#search-results li a", links))
        assert not wrong
        page.context.close()
