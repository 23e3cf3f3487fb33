"""The chapters at the smoke profile: they run, are thin, and their numbers come out the same when run again."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from ldm.commands.notebook import NOTEBOOKS
from ldm.figures.record import recorded
from ldm.paths import ROOT
from ldm.study.findings import COUNTED, RESTORED
from tests.environment import one_device

OTHERS = {"00_answer", "a4_exercises", "a5_first_hour"}  # which are no chapters
CHAPTERS = sorted(path.stem for path in NOTEBOOKS.glob("*.py") if path.stem not in OTHERS)


@pytest.mark.parametrize("name", ["00_answer", *CHAPTERS])
def test_a_notebook_is_thin(name):
    source = (NOTEBOOKS / f"{name}.py").read_text()
    assert not re.search(r"^(def|class) ", source, re.M), "logic belongs in ldm/, where tests reach it"
    assert 'tags=["parameters"' in source


def test_every_chapter_has_three_exercises_and_more():
    """Under its own heading, which links to it; their numbers run through, since other pages name them."""
    source = (NOTEBOOKS / "a4_exercises.py").read_text()
    _, *parts = re.split(r"^# ## \[.+\]\((\w+)\.ipynb\)$", source, flags=re.M)
    asked = {
        name: re.findall(r"^# \*\*(\d+)\*\* ●", part, re.M) for name, part in zip(parts[::2], parts[1::2], strict=True)
    }
    chapters = re.findall(r"notebooks/(\w+)", (ROOT / "book/_toc.yml").read_text())
    assert sorted(asked) == sorted(set(chapters) - {"a4_exercises"})
    assert not {name: numbers for name, numbers in asked.items() if len(numbers) < 3}
    numbers = [int(number) for part in asked.values() for number in part]
    assert numbers == list(range(1, len(numbers) + 1))
    solutions = [part.count('tags=["hide-cell"]') for part in parts[1::2]]
    assert solutions == [len(part) for part in asked.values()], "a folded solution to each"
    for name in set(asked) - {"00_answer"}:
        link = f"[{asked[name][0]} to {asked[name][-1]}](a4_exercises.ipynb)"
        assert link in (NOTEBOOKS / f"{name}.py").read_text(), f"{name} does not lead to its exercises with answers"


@pytest.mark.parametrize("name", sorted({"00_answer", *CHAPTERS} - {"01_data", "02_family", "a0_primer"}))
def test_a_page_of_recorded_rows_says_where_they_come_from(name):
    assert "protocol.folded(" in (NOTEBOOKS / f"{name}.py").read_text()


@pytest.fixture(scope="module")
def executed(smoke_study):
    return {name: smoke_study / f"notebooks/{name}.ipynb" for name in CHAPTERS}


def test_the_chapters_run_and_record_their_numbers(executed):
    numbers = {name: recorded(path) for name, path in executed.items()}
    assert numbers["02_family"]["table1_params"]["64"] == 38_800_580
    assert numbers["01_data"]["psnr"] > 20
    assert set(numbers["03_pretraining"]["F1"].values()) <= {"holds", "fails", "undecided"}
    assert set(numbers["04_sampling"]["F3"].values()) <= {"holds", "fails", "undecided"}
    assert set(numbers["05_samplers"]["F4"].values()) <= {"holds", "fails", "undecided"}
    restored = numbers["06_super_resolution"]["super-resolution"]
    assert set(restored) == {"F2, equal compute", "F2, at the end", "F5"}
    assert set(restored["F5"].values()) <= {"holds", "fails", "undecided"}
    assert restored["F2, equal compute"] == {}, "smoke has one length of finetuning"
    assert set(numbers["12_verdicts"]["verdicts"]) == {"F1", "F3", "F4", "F5", "F6"}
    assert numbers["12_verdicts"]["verdicts"]["F5"] == [restored["F5"][metric] for metric in RESTORED]
    asked, counted = numbers["04_sampling"]["F3"], COUNTED
    assert numbers["12_verdicts"]["verdicts"]["F3"][: len(counted)] == [asked[metric] for metric in counted]


AGAIN = ("01_data", "02_family", "04_sampling", "10_tpu", "12_verdicts", "a0_primer", "a1_metrics", "a2_speed")


def test_run_again_the_recorded_numbers_are_the_same(executed):
    """nbval runs every cell again and compares the outputs of the cells that record numbers: of the light chapters, and
    of two whose rows then lie on the disk, as those of all others do.
    """
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--nbval-lax",
            "--nbval-cell-timeout=300",
            "-p",
            "no:cacheprovider",
            "-n0",
            "-q",
            "-W",
            "default",
            *(str(executed[name]) for name in AGAIN),
        ],
        cwd=NOTEBOOKS,
        env=one_device() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:]
