"""ldm.commands.notebook: parameters are checked first, a run is kept whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import jupytext
import pytest

from ldm.commands import notebook
from ldm.figures import record
from tests.tour import DATA

KNOWN = {"profile": "smoke", "steps": [4, 8, 16], "guidance": 2.0, "seed": 0, "fail": False}


@pytest.mark.parametrize(
    ("text", "like", "expected"),
    [
        ("4,8,16", [1, 2], [4, 8, 16]),
        ("[4, 8]", [1], [4, 8]),
        ("4", [1], [4]),
        ("2,4", [1.5], [2.0, 4.0]),
        ("a,b", ["x"], ["a", "b"]),
        ("7", 0, 7),
        ("1e-3", 0.1, 1e-3),
        ("3", 0.1, 3.0),
        ("true", False, True),
        ("no", True, False),
        ("laptop-eps", "smoke", "laptop-eps"),
        ("none", None, None),
        ("12", "smoke", "12"),
    ],
)
def test_text_is_read_as_the_type_of_the_default(text, like, expected):
    value = notebook.parse(text, like)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "like", "expected"),
    [
        ("abc", 2.0, "a number"),
        ("nan", 2.0, "a number"),
        ("4.5", 4, "a whole number"),
        ("4,x", [4], "a whole number, or several with commas between them"),
        ("4;8", [4, 16], "a whole number, or several with commas between them"),
        ("4;8", [], "a number, or several with commas between them"),
        ("maybe", True, "true or false"),
        ("", 1, "a whole number"),
    ],
)
def test_a_value_of_the_wrong_type_is_one_sentence(text, like, expected):
    with pytest.raises(ValueError, match=rf"^parameter 'it' is .*, expected {expected}, like .*\.$"):
        notebook.parse(text, like, "it")


def test_an_unknown_parameter_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no parameter 'stepz' \(did you mean 'steps'\?\).*guidance, seed"):
        notebook.typed({"stepz": "4"}, KNOWN, where="04_sampling")


def test_a_parameter_given_twice_is_refused_and_told_how_a_list_is_written():
    assert notebook.pairs([("steps", "4,8"), ("seed", "1")]) == {"steps": "4,8", "seed": "1"}
    with pytest.raises(ValueError, match=r"'steps' is given twice, as '4' and '8'; .*: -p steps 4,8\."):
        notebook.pairs([("steps", "4"), ("steps", "8")])


def test_defaults_are_read_from_the_parameters_cell(tmp_path):
    source = tmp_path / "tour.ipynb"
    source.write_text(notebook.to_ipynb(DATA / "tour.py"))
    assert notebook.defaults(source) == KNOWN
    assert json.loads(source.read_text())["metadata"]["kernelspec"]["name"] == "python3"


def test_an_unknown_notebook_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"no notebook 'ture' in .*known: tour\."):
        notebook.execute("ture", tmp_path / "out.ipynb", folder=DATA)


def test_a_run_keeps_its_parameters_and_recorded_numbers(tour):
    assert record.recorded(tour) == {
        "guidance": 4.0,
        "total_steps": {"sum": 12, "seed": 0},
    }


def test_charts_carry_the_mime_type_that_jupyterlab_draws(tour):
    outputs = [output for cell in json.loads(tour.read_text())["cells"] for output in cell.get("outputs", [])]
    charts = [o for o in outputs if "application/vnd.vegalite.v5+json" in o.get("data", {})]
    assert len(charts) == 9
    assert not [o for o in outputs if "ename" in o]


@pytest.mark.study
def test_a_failed_run_leaves_the_last_good_result_alone(tmp_path):
    out = tmp_path / "tour.ipynb"
    out.write_text("the last good one")
    with pytest.raises(notebook.NotebookFailed, match="cell .*: ValueError: guidance is -1; it must"):
        notebook.execute("tour", out, {"fail": "true"}, folder=DATA)
    assert out.read_text() == "the last good one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tour.failed.ipynb", "tour.ipynb"]


def test_nothing_runs_with_a_bad_parameter(tmp_path):
    with pytest.raises(ValueError, match="'guidance' is 'abc', expected a number"):
        notebook.execute("tour", tmp_path / "new/tour.ipynb", {"guidance": "abc"}, folder=DATA)
    assert not list(tmp_path.iterdir())


SMALL = """# %% tags=["parameters"]
steps = 4

# %%
print(steps)
"""


@pytest.mark.parametrize("home", [pytest.param("one's own", marks=pytest.mark.slow), "none"])
def test_what_lies_at_home_is_neither_read_nor_needed(tmp_path, monkeypatch, capfd, home):
    (tmp_path / "small.py").write_text(SMALL)
    (tmp_path / "start.py").write_text("print('good morning')")
    (tmp_path / ".ipython/profile_default/startup").mkdir(parents=True)
    (tmp_path / ".ipython/profile_default/startup/00.py").write_text("print('good morning'); del print")
    (tmp_path / "jupytext.toml").write_text("cell_metadata_filter = '-all'")
    monkeypatch.setenv("HOME", str(tmp_path) if home == "one's own" else "/proc/nowhere")
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "start.py"))
    out = notebook.execute("small", tmp_path / "small.ipynb", {"steps": "8"}, folder=tmp_path)
    texts = [output["text"] for cell in json.loads(out.read_text())["cells"] for output in cell.get("outputs", [])]
    assert texts == [["8\n"]]
    said = capfd.readouterr().err
    assert "WARNING" not in said and "Warning" not in said


def test_a_kernel_is_reached_by_files_unless_their_names_are_too_long(tmp_path):
    assert notebook._connection(Path("/tmp/ldm-1"))["KernelManager"]["transport"] == "ipc"
    assert notebook._connection(tmp_path / ("x" * 90))["KernelManager"]["transport"] == "tcp"


def test_jupyterlab_saves_a_notebook_as_it_was_whatever_its_user_has_set(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/jupytext.toml").write_text("cell_metadata_filter = '-all'\nformats = 'ipynb,py:percent'")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    source = notebook.NOTEBOOKS / "04_sampling.py"
    config = jupytext.config.load_jupytext_config(str(source))
    read = jupytext.read(source, fmt="py:percent", config=config)
    assert jupytext.writes(read, fmt="py:percent", config=config) == source.read_text()


def test_recorded_floats_keep_six_digits_and_tuples_their_names():
    class Pair(NamedTuple):
        value: float
        n: int

    assert record._plain(Pair(1 / 3, 3)) == {"value": 0.333333, "n": 3}
