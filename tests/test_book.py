"""The book is built without warnings, to the byte, and says of every chapter how it was made."""

from __future__ import annotations

import doctest
import gzip
import json
import re
import shutil
import sys
import unicodedata
from pathlib import Path

import pytest

from ldm import profiles
from ldm.figures import explorer, samples, speed
from ldm.files import hold
from ldm.study import findings, recorded
from ldm.study.results import Store
from tests.pages import EXPLORER

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
import pages  # noqa: E402
import pdf  # noqa: E402

import build  # noqa: E402
import links  # noqa: E402

ROOT = Path(__file__).parents[1]


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


def test_the_explorer_of_the_published_rows_fits_into_the_room_left_for_it(tmp_path):
    """With every picture that it may show. Chances that are not paired change more often than paired ones: no fewer
    bytes.
    """
    store = Store(ROOT)
    profile = profiles.get(profiles.DEFAULT)
    levels = ["some", "all"]  # those of notebooks/00_answer.py
    rows = recorded.by_level(store, profile, levels, profile.n)
    rows = rows[rows["seed"] == 0]  # as there
    seconds, metrics = speed.seconds_of(store, profile), [*findings.COUNTED, "subject"]
    assert seconds and rows["c"].nunique() > 2
    chart = explorer.budget_explorer(rows, metrics, pictures=lambda key: samples.thumbnail(store, key), seconds=seconds)
    page = gzip.compress(pages.chart(chart.to_dict(), tmp_path).encode())
    assert 3e4 < len(page) + sum(path.stat().st_size for path in tmp_path.iterdir()) < EXPLORER


@pytest.mark.slow
def test_a_warning_fails_the_build_however_often_it_is_tried(tmp_path):
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "book").mkdir()
    (tmp_path / "book/references.bib").touch()
    (tmp_path / "book/_toc.yml").write_text("format: jb-book\nroot: book/page\n")
    (tmp_path / "book/page.md").write_text("# A page\n\nIt names [another](nowhere.md).\n")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="warnings or errors"):
            build.build(tmp_path, tmp_path / "build")


def test_the_same_book_is_built_to_the_byte(tmp_path, monkeypatch, tour):
    """Of a chapter with charts and two pages, in two folders."""
    monkeypatch.setattr(build, "vendor", lambda static: None)  # copies, and files named by what made them
    shutil.copy(ROOT / "_config.yml", tmp_path)
    shutil.copytree(ROOT / "book/_static", tmp_path / "book/_static")
    for page in ("credits.md", "references.md", "references.bib"):
        shutil.copy(ROOT / "book" / page, tmp_path / "book")
    toc = "format: jb-book\nroot: notebooks/tour\nchapters:\n  - file: book/credits\n  - file: book/references\n"
    (tmp_path / "book/_toc.yml").write_text(toc)
    made = [build.build(tmp_path, tmp_path / name, tour.parent).parent for name in ("one", "other")]
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
    spec = {"description": 'a "b" <c>', "title": "</script>", "mark": "point", "data": {"values": [{}]}}
    element = pages.chart(spec)
    assert element.count("</script>") == 1 and "&quot;b&quot; &lt;c&gt;" in element
    cells = [
        {"outputs": [{"data": {pages.RESULTS: {"a": 1}}}, {"data": {pages.VEGALITE: spec}}]},
        {"source": "no outputs"},
    ]
    shown = json.loads(pages.for_readers(json.dumps({"cells": cells})))["cells"]
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
    title, output = json.loads(pages.for_readers(notebook, tmp_path, "04_sampling"))["cells"]
    made = (
        "make notebook N=04_sampling PROFILE=smoke ARGS=\"-p steps 4,8 -p metric kid_effnet -p folder 'my pictures'\""
    )
    assert title["source"].startswith(f"# A title\n\n*Run this page again: `{made}`.") and title["source"].endswith(
        "\n\nText."
    )
    assert output["outputs"][0]["data"]["text/markdown"] == "[a](b.html#c), [d](../e.html), [f](https://x.org/g.md)"
    assert pages.command("05_samplers", {"profile": "laptop-eps"}) == "make notebook N=05_samplers"
    first = json.loads(pages.for_readers(notebook, tmp_path, "00_answer", foot=True))["cells"][0]["source"]
    assert first.startswith("# A title\n\nText.\n\n*Run this page again: `make notebook N=00_answer PROFILE=smoke ")


def test_every_page_of_the_book_is_in_its_table_of_contents():
    named = set(build.chapters(ROOT / "book/_toc.yml"))
    written = {f"book/{p.stem}" for p in ROOT.glob("book/*.md")}
    assert written <= named
    assert all((ROOT / f"{page}.py").is_file() for page in named if page.startswith("notebooks/"))


def test_no_line_of_a_page_is_a_comment_by_accident():
    """Markdown drops a line that begins with a per cent sign, and what a paragraph says with it."""
    for path in [*ROOT.glob("notebooks/*.py"), *ROOT.glob("book/*.md")]:
        text = re.sub(r"^# %%.*$", "", path.read_text(), flags=re.M)
        assert not (found := re.findall(r"^(?:# )?%.*", text, re.M)), f"{path.name}: {found}"


def test_the_errata_prove_themselves():
    """The page's code prints what the page says it prints."""
    page = (ROOT / "book/errata.md").read_text()
    code = "\n".join(re.findall(r"```pycon\n(.*?)```", page, re.S))
    found, failures = doctest.DocTestParser().get_doctest(code, {}, "errata", "book/errata.md", 0), []
    assert len(found.examples) > 10
    assert not doctest.DocTestRunner().run(found, out=failures.append).failed, "".join(failures)


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
