"""A chapter run with other parameters: what it is called, what is left out of it, and what it tells at its end."""

from __future__ import annotations

import json

import jupytext
import pytest

from ldm.commands import notebook, variants
from ldm.commands.summary import summary
from ldm.figures.record import BEST, CELLS, RESULTS, VERDICTS

KNOWN = {"profile": "laptop-eps", "sizes": [], "steps": [], "guidance": 2.0, "recompute": -1}
SMALL = """# %% [markdown]
# # A chapter

# %% tags=["parameters"]
profile = "laptop-eps"
sizes = []
recompute = -1

# %%
print(sizes, recompute)

# %% [markdown] tags=["recorded"]
# On the shipped rows it is so.
"""


def test_what_differs_from_the_notebooks_own_parameters_is_what_was_changed():
    assert variants.changed({"steps": [4], "sizes": [16]}, KNOWN) == {"sizes": [16], "steps": [4]}, "in its order"
    assert variants.changed({"sizes": [], "guidance": 2.0}, KNOWN) == {}
    assert variants.changed({"profile": "smoke"}, KNOWN, "smoke") == {}, "each profile has a build of its own"
    assert variants.changed({"profile": "smoke"}, KNOWN, "laptop-eps") == {"profile": "smoke"}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "04_sampling"),
        ({"sizes": [16, 32]}, "04_sampling--sizes-16-32"),
        ({"sizes": [16, 32], "guidance": 1.5}, "04_sampling--sizes-16-32-guidance-1_5"),
    ],
)
def test_a_file_is_named_by_what_was_changed(given, name):
    assert variants.stem("04_sampling", given) == name
    assert variants.chapter_of(name) == "04_sampling"


def test_no_two_settings_share_a_name_however_long_or_odd():
    given = [{"folder": text} for text in ("a/b", "a-b", "a b", "-1", "1", "x" * 200, "x" * 201)]
    names = [variants.stem("07_dreambooth", parameters) for parameters in given]
    assert len(set(names)) == len(names) and max(map(len, names)) <= variants.LONGEST


@pytest.mark.slow
def test_a_folder_holds_the_chapter_and_what_was_run_again_and_only_the_first_shows_the_recorded_prose(tmp_path):
    (tmp_path / "small.py").write_text(SMALL)
    runs = [notebook.execute("small", tmp_path / "out", given, folder=tmp_path) for given in ({}, {"sizes": "8,16"})]
    assert [path.name for path in runs] == ["small.ipynb", "small--sizes-8-16.ipynb"]
    chapter, again = (json.loads(path.read_text()) for path in runs)
    said = [["".join(cell["source"]) for cell in each["cells"]] for each in (chapter, again)]
    assert ["On the shipped rows it is so." in text for text in said] == [True, False]
    printed = [cell["outputs"][0]["text"] for cell in again["cells"] if cell.get("outputs")]
    assert printed == [["[8, 16] 0\n"]], "nothing recorded is run again unless that is asked for"
    assert again["metadata"]["ldm"]["changed"] == {"sizes": [8, 16]} and not chapter["metadata"]["ldm"]["changed"]
    assert chapter["metadata"]["ldm"]["versions"].keys() >= {"python", "jax", "numpy"}


@pytest.mark.parametrize("path", sorted(notebook.NOTEBOOKS.glob("*.py")), ids=lambda path: path.stem)
def test_a_sentence_about_the_shipped_rows_is_shown_with_them_alone(path):
    for cell in jupytext.read(path, fmt="py:percent").cells:
        text = " ".join(cell.source.split())
        if cell.cell_type == "markdown" and ("shipped rows" in text):
            assert variants.RECORDED in cell.metadata.get("tags", []), text[:80]


def test_what_a_notebook_found_is_told(tmp_path):
    data = {
        VERDICTS: ["**F3 fails** by kid_effnet: advantage -0.1 [-0.2, -0.05]; asked of sizes 16, 32."],
        BEST: {"KID": {"c = 16": "4 steps, guidance 2: 12.3 [11, 14], n = 256"}},
        CELLS: {"new": 3, "recorded": 1200},
        "psnr": 24.1,
    }
    outputs = [{"output_type": "display_data", "metadata": {}, "data": {RESULTS: {k: v}}} for k, v in data.items()]
    cells = [
        {"cell_type": "code", "metadata": {}, "source": "", "execution_count": None, "outputs": outputs, "id": "a"}
    ]
    path = tmp_path / "laptop-eps/notebooks/04_sampling--sizes-16-32.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps(
            {"cells": cells, "metadata": {"ldm": {"changed": {"sizes": [16, 32]}}}, "nbformat": 4, "nbformat_minor": 5}
        )
    )
    lines = summary(path).splitlines()
    assert lines[0] == "04_sampling (sizes 16, 32)"
    assert "  F3 fails by kid_effnet: advantage -0.1 [-0.2, -0.05]; asked of sizes 16, 32." in lines
    assert "  c = 16: 4 steps, guidance 2: 12.3 [11, 14], n = 256" in lines and "  psnr: 24.1" in lines
    assert "Cells: 3 new, 1,200 taken from recorded rows." in lines
    assert lines[-1].endswith("laptop-eps/_build/html/notebooks/04_sampling--sizes-16-32.html")
