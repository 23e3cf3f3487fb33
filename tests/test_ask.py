"""Cells in which readers ask a chapter's rows: a page carries what the notebook had; a browser asks as Python does."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from ldm import profiles
from ldm.figures import ask, asked
from ldm.paths import ROOT
from ldm.statistics import verdicts
from ldm.study import findings, recorded
from ldm.study.results import Store
from tests.pages import CONTRAST, barriers, open_page, served
from tests.synthetic import sampling_rows

sys.path.insert(0, str(ROOT / "book"))
import interpreter  # noqa: E402
import pages  # noqa: E402
import published  # noqa: E402

import build  # noqa: E402

STORE = Store(ROOT)
PROFILE = profiles.get("laptop-eps")
METRICS = findings.COUNTED[:2]


@pytest.fixture(scope="module")
def rows():
    """The recorded rows of chapter 4, all trainings."""
    grid = recorded.whole_grid(STORE, PROFILE)
    return recorded.with_trainings(STORE, grid[grid["sampler"] == "ddim"])


def lines(printed: str) -> list[dict]:
    """What `asked` told the page."""
    return [json.loads(line[1:]) for line in printed.splitlines() if line.startswith("\0")]


def plain(verdict: verdicts.Verdict) -> str:
    return str(verdict).replace("**", "")


def test_what_a_page_carries_is_what_the_notebook_had(rows):
    found = ask.unpacked(ask.packed(rows, METRICS, STORE.influences))
    wanted = rows[rows["metric"].isin(METRICS)].drop(columns="versions").reset_index(drop=True)
    pd.testing.assert_frame_equal(found.rows, wanted)
    assert found.metrics == list(METRICS)
    for metric in METRICS:
        known = STORE.influences(wanted, metric)
        again = found.influences(found.rows, metric)
        assert list(again) == list(known) and len(known)
        assert all(np.array_equal(again[key], known[key]) for key in known)
    assert found.influences(found.rows[:0], METRICS[0]) == {} == found.influences(found.rows, "no metric")


def test_rows_without_influences_and_with_texts_that_are_empty_or_missing_are_carried():
    rows = sampling_rows().assign(dose=["", None] * (len(sampling_rows()) // 2), remat=None)
    found = ask.unpacked(ask.packed(rows, ["alignment"], lambda rows, metric: {}))
    wanted = rows[rows["metric"] == "alignment"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.rows, wanted)
    assert found.influences(found.rows, "alignment") == {}
    with pytest.raises(ValueError, match="these 3 bytes are no packed rows"):
        ask.unpacked(b"abc")


def of_finding(finding: str, rows: pd.DataFrame):
    """The rows that a finding is asked of in its chapter, and its verdict by the first metric."""
    if finding == "F1":
        rows = recorded.pretrained(STORE, PROFILE)
    if finding == "F4":
        rows = recorded.whole_grid(STORE, PROFILE)
        rows = rows[rows["steps"].isin(findings.few_steps(PROFILE))]
    influences = STORE.influences(rows, METRICS[0])
    ways = {
        "F1": lambda: verdicts.f1(rows, METRICS[0], influences),
        "F3": lambda: verdicts.f3(rows, METRICS[0], influences),
        "F4": lambda: verdicts.f4(rows, METRICS[0], list(rows["sampler"].unique())[-1], influences),
    }
    return rows, ways[finding]()


@pytest.mark.parametrize("finding", ask.QUESTIONS)
def test_the_code_that_a_reader_begins_with_gives_the_chapters_verdict_and_chart(finding, rows, tmp_path, capsys):
    rows, verdict = of_finding(finding, rows)
    (tmp_path / "rows.npz").write_bytes(ask.packed(rows, METRICS, STORE.influences))
    asked.run(str(tmp_path / "rows.npz"), ask.question(finding, rows, METRICS))
    words, chart = lines(capsys.readouterr().out)
    assert html.unescape(re.sub("<.*?>", "", words["html"])) == plain(verdict)
    assert "layer" in str(chart["chart"]) and chart["chart"]["description"]


def test_a_cell_of_no_rows_is_empty_and_an_unknown_finding_is_refused(rows):
    assert ask.cell("F3", rows[:0], METRICS, STORE.influences).data == ""
    assert ask.cell("F4", rows, METRICS, STORE.influences).data == ""  # rows of one sampler
    with pytest.raises(ValueError, match="finding = 'F2': expected one of F1, F3, F4"):
        ask.cell("F2", rows, METRICS, STORE.influences)


def test_values_are_shown_for_people_and_errors_end_where_they_were_made(rows, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "tracebacklimit", 0, raising=False)  # as a library of launchers sets it
    path = tmp_path / "rows.npz"
    path.write_bytes(ask.packed(rows, METRICS, STORE.influences))
    asked.run(str(path), 'rows[["c", "steps"]]\n"<b>"\nNone\nrows["c"].max()\nprint("plain")')
    printed = capsys.readouterr().out
    table, text, number = lines(printed)
    assert '<th scope="col">size c</th>' in table["html"] and f"of {2 * rows['key'].nunique()} rows" in table["html"]
    assert (text, "plain" in printed) == ({"text": "<b>"}, True) and "32" in number["text"]
    for code, where, what in (
        ("1\n\nnothing", 'File "the cell", line 3', "NameError: name 'nothing' is not defined"),
        ("verdicts.f3(rows[:0], metric)", "bootstrap.py", "NotAsked: no row holds the metric"),
        ("x = (", 'File "the cell", line 1', "SyntaxError: '(' was never closed"),
        ("exit()", 'File "the cell", line 1', "SystemExit"),
    ):
        asked.run(str(path), code)
        wrong = lines(capsys.readouterr().out)[-1]["error"]
        assert where in wrong and what in wrong.splitlines()[-1]


def test_the_lines_that_the_playgrounds_page_suggests_run(rows, tmp_path, capsys):
    part = (ROOT / "book/playground.md").read_text().partition("## The rows of a chapter")[2]
    (tmp_path / "rows.npz").write_bytes(ask.packed(rows, METRICS, STORE.influences))
    asked.run(str(tmp_path / "rows.npz"), re.search("(?s)```python\n(.*?)```", part)[1])
    assert [list(answer) for answer in lines(capsys.readouterr().out)] == [["html"], ["html"], ["chart"]]


def test_it_all_loads_without_jax_and_whatever_else_the_browser_lacks():
    program = f"""
import sys
sys.path[:0] = [{str(ROOT / "book/wasi")!r}]
for name in ("jax", "jaxlib", "flax", "pyarrow", "IPython", "fcntl", "safetensors", "ml_dtypes", "tyro", "grain"):
    sys.modules[name] = None
from ldm.figures import asked
import altair, rpds
assert "wasi" in rpds.__file__
asked.show(altair.Chart().mark_point().encode(x="a:Q"))
try:
    altair.Chart().mark_point(shape=3).to_dict()
except Exception as error:
    print(error)"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"mark": {"type": "point"}' in done.stdout and "'3' is an invalid value for `shape`" in done.stdout


def test_names_of_functions_are_cut_out_of_a_module():
    head, custom, kept = b"\0asm\x01\0\0\0", b"\0\x85\x00\x04name", b"\x01\x04\x01\x60\0\0"
    assert interpreter.nameless(head + custom + kept + custom) == head + kept
    assert interpreter.number(b"\xe5\x8e\x26", 0) == (624485, 3)


def test_of_the_wheels_library_only_what_is_needed_is_packed():
    names = ["numpy/core/x.pyc", "pandas/tests/x.pyc", "scipy/__init__.pyc", "scipy/_lib/x.pyc", "scipy/stats/x.pyc"]
    assert [interpreter.needed(name) for name in [*names, "sympy/x.pyc", "json/x.pyc", "ast.pyc"]] == [
        *[True, False, True, True, False],
        *[False, True, True],
    ]


def test_without_the_package_the_book_has_no_such_cells_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(interpreter, "SOURCE", "no-such-package")
    assert interpreter.put(ROOT, tmp_path / "kept", tmp_path / "site") == 0
    assert "not installed are no-such-package" in capsys.readouterr().out and not list(tmp_path.iterdir())
    cell = ask.cell("F3", sampling_rows(), ["alignment"], lambda rows, metric: {}).data
    output = {"output_type": "display_data", "data": {"text/html": cell}, "metadata": {}}
    notebook = {"cells": [{"cell_type": "code", "source": "", "metadata": {}, "outputs": [output]}], "metadata": {}}
    assert "ldm-ask" not in pages.for_readers(json.dumps(notebook), tmp_path)
    assert "ldm-ask" not in published.download(json.dumps(notebook), "04_sampling", {})
    page = pages.for_readers(json.dumps(notebook), tmp_path, interpreter=1_000_000)
    (file,) = (tmp_path / "asked").iterdir()
    assert f'data-rows=\\"../_static/asked/{file.name}\\"' in page and "base64" not in page
    assert f'data-bytes=\\"{1_000_000 + file.stat().st_size}\\"' in page
    assert len(ask.unpacked(file.read_bytes()).rows) == (sampling_rows()["metric"] == "alignment").sum()


@pytest.fixture(scope="module")
def site(rows, tmp_path_factory):
    """A page that has the cell of chapter 4 twice, and what the book's build puts beside it."""
    if absent := interpreter.missing():
        pytest.skip(f"not installed: {', '.join(absent)}")
    import shutil

    import vl_convert

    root = tmp_path_factory.mktemp("asked")
    static = root / "_static"
    shutil.copytree(ROOT / "book/_static", static)
    size = interpreter.put(ROOT, build.INTERPRETER, static / "ask")
    (static / "vega.js").write_text(f"(()=>{{{vl_convert.javascript_bundle()}}})();")
    element = pages.asked(ask.cell("F3", rows, METRICS, STORE.influences).data, static / "asked", size)
    (root / "notebooks").mkdir()
    (root / "notebooks/index.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>A chapter</title><meta name="viewport"'
        ' content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><link rel="stylesheet"'
        ' href="../_static/ldm.css"><style>html { --pst-color-primary: #176de8; --pst-color-background: #fff;'
        " --pst-color-surface: #f5f5f5; --pst-color-border: #c9c9c9; --pst-color-text-base: #222832;"
        " --pst-color-text-muted: #48566b; --pst-color-warning: #ee9040 }"
        " html[data-theme=dark] { --pst-color-primary: #528fe4; --pst-color-background: #121212;"
        " --pst-color-surface: #29313d; --pst-color-text-base: #ced6dd; --pst-color-text-muted: #9ca4af;"
        " background: #121212; color: #ced6dd } a { color: var(--pst-color-primary) }</style>"
        f'<main><h1>A chapter</h1><h2>Verdict</h2>{element}{element}</main><script src="../_static/ldm-charts.js">'
        "</script></html>"
    )
    return root


def ask_page(page, code: str | None = None, cell: int = 0) -> str:
    """Run the code of a cell, or what stands in it, by the keyboard; what it answers, as text."""
    box = page.locator(".ldm-ask").nth(cell)
    if code is not None:
        box.locator("textarea").fill(code)
    box.evaluate("box => { box.done = new Promise((then) => box.addEventListener('asked', then, { once: true })); }")
    box.locator("textarea").press("Control+Enter")
    box.evaluate("box => box.done.then(() => true)")
    return box.locator(".answers").inner_text()


def test_a_browser_asks_the_rows_as_python_does_and_asks_no_other_host(rows, site, browser):
    loaded = []
    with served(site) as address:
        page, wrong = open_page(browser, address + "notebooks/index.html", "light")
        page.on("request", lambda request: loaded.append(request.url.removeprefix(address)))
        button = page.locator(".ldm-ask button").first
        size = json.loads((build.INTERPRETER / interpreter.INDEX).read_text())["bytes"]
        assert re.fullmatch(r"Run \(loads (\d+) MB\)", button.inner_text()) and size < 40e6
        assert not loaded  # nothing before the click
        influences = STORE.influences(rows, METRICS[0])
        said = ask_page(page)
        assert plain(verdicts.f3(rows, METRICS[0], influences)) in said
        page.wait_for_selector(".ldm-ask .ldm-chart[data-drawn] svg")
        assert any(name.endswith(".wasm.gz") for name in loaded) and any("asked/" in name for name in loaded)

        # other rows, another answer, and the chart has one size less
        two = rows[rows["c"] <= 16]
        fewer = 'rows = rows[rows["c"] <= 16]\nverdicts.f3(rows, metric, influences(rows, metric))'
        said = ask_page(page, fewer + '\nplots.quality_vs_cost(rows[rows["seed"] == 0], metric)')
        assert plain(verdicts.f3(two, METRICS[0], STORE.influences(two, METRICS[0]))) in said
        page.wait_for_selector(".ldm-ask .ldm-chart[data-drawn] svg")
        drawn = page.text_content(".ldm-ask svg")
        assert "c 16" in drawn and "c 32" not in drawn

        # a second cell shares the interpreter, and begins from its own rows
        before = len(loaded)
        assert plain(verdicts.f3(rows, METRICS[0], influences)) in ask_page(page, cell=1)
        assert not [name for name in loaded[before:] if "python" in name]
        assert "NotAsked: Sizes are compared" in ask_page(page, "verdicts.f3(rows[rows['c'] == 8], metric)")
        assert page.inner_text(".ldm-ask .status") == "Python stopped at an error."

        # for whoever reads with other means than eyes, on a phone as well
        page.set_viewport_size({"width": 390, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        bare = "(boxes) => boxes.forEach((box) => { box.view = null; box.querySelector('svg')?.remove(); })"
        page.eval_on_selector_all(".ldm-chart", bare)  # the marks of charts are Vega's business
        assert not [*barriers(page, "dark"), *barriers(page, "light", runOnly=[CONTRAST])]

        # a line without an end is stopped
        page.locator(".ldm-ask textarea").first.fill("while True:\n    pass")
        button.click()
        page.wait_for_function("() => document.querySelector('.ldm-ask .status').textContent === 'Running'")
        time.sleep(0.2)
        page.locator(".ldm-ask button").nth(1).click()
        assert page.inner_text(".ldm-ask .status").startswith("Stopped.")
        assert not wrong
        page.context.close()


def test_a_page_opened_from_the_disk_says_how_to_serve_it(site, browser):
    page, wrong = open_page(browser, f"file://{site}/notebooks/index.html", "dark")
    ask_page(page)
    assert "load Python" in page.inner_text(".ldm-ask .status")
    assert "python3 -m http.server" in page.inner_text(".ldm-ask .status")
    assert not wrong
    page.context.close()
