"""What lies in the site beside its pages: notebooks to download, figures by address, files for programs."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections import Counter

import jsonschema
import pytest
import yaml

from ldm.metrics import Estimate
from ldm.paths import ROOT
from ldm.profiles import OPEN_EPS
from ldm.statistics.verdicts import Verdict
from ldm.study.findings import COUNTED, FINDINGS, in_turn
from ldm.study.findings_index import index
from ldm.study.results import Store

sys.path.insert(0, str(ROOT / "book"))
import again  # noqa: E402
import figures  # noqa: E402
import heights  # noqa: E402
import machines  # noqa: E402
import pages  # noqa: E402
import published  # noqa: E402

WHERE = {"url": "https://github.com/someone/somewhere", "branch": "main"}
CHART = {"mark": "point", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a"}}, "height": 200}


def executed(**given) -> str:
    """A chapter as papermill leaves it: the parameters in a second cell."""
    cells = [
        ("markdown", "# A title\n\n**The question.** Is it so?", []),
        ("code", 'profile = "laptop-eps"  # which\nsizes = []  # none: all\nn = 0', ["parameters"]),
        ("code", "sizes = [16, 32]", ["injected-parameters"]),
        ("code", "print(sizes)", []),
    ]
    made = [
        {"cell_type": kind, "source": text, "metadata": {"tags": tags}, "outputs": []} for kind, text, tags in cells
    ]
    versions = {"python": "3.12.1", "jax": "0.10.2", "snakemake": "9"}
    metadata = {"papermill": {"parameters": given}, "ldm": {"changed": given, "versions": versions}}
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def test_a_published_notebook_has_the_parameters_that_ran_on_top_and_pins_what_it_needs():
    notebook = json.loads(published.download(executed(sizes=[16, 32], profile="smoke"), "04_sampling", WHERE))
    title, parameters, setup, rest = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert title.startswith("# A title") and rest == "print(sizes)"
    assert parameters == 'profile = "smoke"  # which\nsizes = [16, 32]  # none: all\nn = 0'
    assert 'PINNED = "jax==0.10.2"' in setup and "Python 3.12.1" in setup and "snakemake" not in setup
    assert "git clone --depth 1 --branch main https://github.com/someone/somewhere.git" in setup
    alone = published.setup_cell({"jax": "1"}, "x", {})
    compile(alone, "setup", "exec")
    assert "git clone" not in alone


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_every_parameter_of_every_notebook_can_be_written_as_it_ran(path):
    cell = re.search(r'(?s)# %% tags=\["parameters".*?\n(.*?)\n# %%', path.read_text())[1]
    before: dict = {}
    exec(cell, before)
    names = [name for name in before if not name.startswith("__")]
    given = {name: [1.5, "a # b"] if isinstance(before[name], list) else "it's" for name in names}
    after: dict = {}
    exec(published.assigned(cell, given), after)
    assert {name: after[name] for name in names} == given


def test_links_to_colab_and_binder_need_the_address_of_a_repository():
    assert published.repository({}) == published.repository({"repository": {"url": ""}}) == {}
    assert published.repository({"repository": {"url": WHERE["url"] + ".git"}}) == WHERE
    with pytest.raises(ValueError, match=r"'github.com/x' in _config.yml; expected https://github.com/OWNER/NAME\."):
        published.repository({"repository": {"url": "github.com/x"}})
    assert "open in" not in published.offer("04_sampling", "04_sampling", {})
    offered = published.offer("04_sampling--sizes-16", "04_sampling", WHERE)
    assert "colab.research.google.com/github/someone/somewhere/blob/executed/04_sampling--sizes-16.ipynb" in offered
    assert "mybinder.org/v2/gh/someone/somewhere/main?urlpath=lab%2Ftree%2Fnotebooks%2F04_sampling.py" in offered
    workflow = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text())
    assert "git push -qf" in str(workflow) and published.EXECUTED in str(workflow["jobs"]["notebooks"])


def test_a_page_run_again_says_with_what_and_leads_to_its_chapter():
    content = json.loads(pages.for_readers(executed(sizes=[16, 32]), None, "04_sampling--sizes-16-32"))
    first, parameters, *_ = ["".join(cell["source"]) for cell in content["cells"]]
    assert first.startswith(
        "# A title (sizes 16, 32)\n\n**[The chapter](04_sampling.ipynb), run again with sizes 16, 32"
    )
    assert '`make notebook N=04_sampling ARGS="-p sizes 16,32"`' in first and "sizes = [16, 32]" in parameters


def test_what_was_run_again_stands_below_its_chapter_and_goes_when_its_notebook_goes(tmp_path):
    toc = tmp_path / "source/_toc.yml"
    chapters = {f"notebooks/{name}": tmp_path / f"{name}.ipynb" for name in ("00_answer", "04_sampling")}
    for name in ("04_sampling--sizes-16-32", "00_answer--n-4", "99_gone--n-4"):
        (tmp_path / f"{name}.ipynb").write_text(executed(sizes=[16, 32]))
    (tmp_path / "04_sampling--as-it-was.ipynb").write_text(executed())
    found = again.run_again(tmp_path, chapters)
    assert list(found) == ["notebooks/00_answer--n-4", "notebooks/04_sampling--sizes-16-32"]
    text = "root: notebooks/00_answer\nparts:\n- caption: A\n  chapters:\n  - file: notebooks/04_sampling\n"
    toc.parent.mkdir()
    toc.write_text(text)
    again.list_under_chapters(toc, found)
    chapter, other = yaml.safe_load(toc.read_text())["parts"][0]["chapters"]
    title = "A title (sizes 16, 32)"
    assert chapter["sections"] == [{"file": "notebooks/04_sampling--sizes-16-32", "title": title}]
    assert other["file"] == "notebooks/00_answer--n-4"
    old = tmp_path / "_build/html/notebooks/04_sampling--steps-4.html"
    old.parent.mkdir(parents=True)
    old.touch()
    again.forget([tmp_path / "_build/html"], found)
    assert not old.exists()


def test_a_figure_has_an_address_by_its_heading_a_page_of_its_own_and_its_specification(tmp_path):
    seen = Counter()
    headings = ["Guidance", "[Best](x.md) of 2", "Guidance"]
    assert figures.heading("text\n\n## A [link](a.md) and `code`\n\n```\n# no heading\n```") == "A link and `code"
    assert [figures.place(name, seen) for name in headings] == [
        "figure-guidance",
        "figure-best-x-md-of-2",
        "figure-guidance-2",
    ]
    cells = [
        {"cell_type": "markdown", "source": "# A title\n\n## Guidance"},
        {"cell_type": "code", "outputs": [{"data": {pages.VEGALITE: CHART}}, {"data": {"text/html": "<table>"}}]},
    ]
    shown = pages.for_readers(json.dumps({"cells": cells, "metadata": {}}), tmp_path, "04_sampling")
    chart, table = (output["data"]["text/html"] for output in json.loads(shown)["cells"][1]["outputs"])
    assert chart.startswith('<div class="ldm-figure" id="figure-guidance">') and table == "<table>"
    page, raw = figures.files(tmp_path, "04_sampling", "figure-guidance")
    assert 'href="../../../notebooks/04_sampling.html#figure-guidance"' in page.read_text()
    assert json.loads(raw.read_text())["data"] == CHART["data"]


def test_the_room_kept_for_a_chart_is_as_tall_as_its_drawing_and_its_controls(tmp_path):
    slider = {"name": "a", "value": 0, "bind": {"input": "range", "min": 0, "max": 1, "name": "sampling budget"}}
    bare, with_slider = heights.of(CHART), heights.of({**CHART, "params": [slider]}, tmp_path / "known.json")
    assert all(200 < height < 260 for height in bare)
    assert [b - a for a, b in zip(bare, with_slider, strict=True)] == [44, 76]
    assert heights.of({**CHART, "params": [slider]}, tmp_path / "known.json") == with_slider


def test_the_index_of_findings_keeps_its_schema_and_says_what_the_verdicts_say():
    common = dict(metric="", effect=Estimate(0.1, -0.2, 0.4, 256), meaning="advantage:", asked="c = 8, 16")
    asked = [Verdict(**common | {"metric": name}, finding="F3", answer="undecided") for name in COUNTED]
    answers = {"F3": [in_turn("F3", turn, verdict) for turn in (0, 1) for verdict in asked]}
    found = index(answers, store=Store(ROOT), profile=OPEN_EPS)
    outputs = [{"data": {pages.RESULTS: {machines.FINDINGS: found}}}]
    content = machines.findings(json.dumps({"cells": [{"outputs": outputs}]}), "A study")
    jsonschema.validate(content, machines.SCHEMA)
    first, second = content["findings"]
    assert (first["question"], second["question"]) == ("from the fewest steps of the largest", "from four of its steps")
    assert first["claim"] == FINDINGS["F3"].claim and first["chapter"] == "notebooks/04_sampling.html#verdict"
    answer = first["answers"][0]
    assert (answer["metric"], answer["verdict"], answer["value"], answer["interval"]) == (
        "fd_scene_decoded",
        "undecided",
        0.1,
        [-0.2, 0.4],
    )
    assert answer["seeds"] == [0, 1, 2] and len(answer["protocols"]) == 1 and answer["n"] == 256
    assert first["rows"] == ["_static/rows/sampling-laptop-eps.csv"]
    with pytest.raises(ValueError, match="recorded no findings; run it again: make notebook N=12_verdicts"):
        machines.findings(json.dumps({"cells": []}), "A study")


def test_every_verdict_has_its_place_in_its_chapter():
    for name, finding in FINDINGS.items():
        source = (ROOT / f"notebooks/{finding.chapter}.py").read_text()
        assert re.search(rf"(?mi)^# ## {finding.place}$", source), name


def test_llms_txt_says_of_every_page_what_it_is_about():
    texts = [
        ("notebooks/00", "# The study\n\nA model draws.\n"),
        ("book/b", "# B\n\n**The question.** Why [so](x.md)? Yes."),
    ]
    text = machines.llms("The study", texts, ["sampling-laptop-eps.csv"])
    assert text.startswith("# The study\n\n> A model draws.\n")
    assert "- [B](book/b.html): Why so? Yes.\n" in text and "(_static/rows/sampling-laptop-eps.csv)" in text
    assert "(findings.json)" in text


def test_the_citation_file_is_valid_and_names_the_package_s_version():
    """By the schema of the Citation File Format 1.2.0: what it requires, and the types of what stands here."""
    given = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert given.keys() >= {"authors", "cff-version", "message", "title"} and given["cff-version"] == "1.2.0"
    known = "abstract authors cff-version commit contact date-released doi identifiers keywords license license-url"
    known += (
        " message preferred-citation references repository repository-artifact repository-code title type url version"
    )
    assert given.keys() <= set(known.split()) and given["type"] in ("software", "dataset")
    people = [person for entry in [given, *given["references"]] for person in entry["authors"]]
    assert all("name" in person or person.keys() >= {"family-names", "given-names"} for person in people)
    assert all(reference.keys() >= {"authors", "title", "type"} for reference in given["references"])
    dois = [entry["doi"] for entry in [given, *given["references"]] if "doi" in entry]
    assert dois and all(re.fullmatch(r"10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-.()\[\]\\]+", doi) for doi in dois)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = str(given["date-released"])
    assert str(given["version"]) == version and re.fullmatch(r"\d{4}-\d{2}-\d{2}", released)
    assert f": {version}, {released}" in (ROOT / "CHANGELOG.md").read_text(), "the reader's list of editions agrees"


def test_the_book_is_built_by_the_version_that_reads_its_configuration():
    """jupyter-book 2 knows no _config.yml and no Sphinx extensions: it would build another book, or none."""
    requirements = (ROOT / "requirements.txt").read_text()
    assert re.findall(r"(?m)^jupyter-book==(\d+)\.", requirements) == ["1"]
    assert yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["extensions"]
    assert "jupyter-book 1" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("chapter_ran, newer", [("2026-11-28T10:00:00", False), ("2026-11-30T10:00:00", True)])
def test_a_page_run_again_says_when_and_whether_the_chapter_was_run_after_it(chapter_ran, newer):
    notebook = json.loads(executed(sizes=[16]))
    notebook["metadata"]["papermill"]["end_time"] = "2026-11-29T12:00:00"
    page = pages.for_readers(json.dumps(notebook), None, "04_sampling--sizes-16", since=chapter_ran)
    first = "".join(json.loads(page)["cells"][0]["source"])
    assert "run again on 2026-11-29 with sizes 16.**" in first
    assert ("run after this page" in first) == newer


def test_previous_and_next_lead_past_what_was_run_again_which_leads_back_to_its_chapter():
    chain = ["a", "b", "b--n-4", "b--n-8", "c"]
    before, after = [None, *chain[:-1]], [*chain[1:], None]
    relations = {page: (None, *around) for page, *around in zip(chain, before, after, strict=True)}
    found = {page: tuple(again.neighbour(page, relations, end) for end in ("prev", "next")) for page in chain}
    assert found == {
        "a": (None, "b"),
        "b": ("a", "c"),
        "b--n-4": ("b", "c"),
        "b--n-8": ("b", "c"),
        "c": ("b", None),
    }
