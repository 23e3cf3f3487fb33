"""The stages of the family's evaluation: everything that chapters ask of it, each cell in one setting and level."""

from __future__ import annotations

import pytest

from ldm import profiles
from ldm.study import findings, lever_grid, sampling
from tools import evaluate_family as tool

OPEN = profiles.get("laptop-eps")


@pytest.fixture(scope="module")
def stages():
    return dict(tool.stages(OPEN, [8, 16]))


def test_the_stages_hold_what_the_verdicts_ask(stages):
    every = {cell for cells in stages.values() for cell in cells}
    assert set(findings.samplers_grid(OPEN, [8, 16])) <= every
    assert set(findings.lengths_grid(OPEN, [8, 16])) <= every
    assert set(sampling.sampling_grid(OPEN, [8, 16], OPEN.steps, OPEN.guidance)) <= every
    assert set(lever_grid.solver_grid(OPEN, [8, 16])) <= every
    assert {cell.level for cell in every} == {"all", "some", "subject", "nothing"}
    assert {cell.profile for cell in every} == {OPEN.name} and {cell.c for cell in every} == {8, 16}


def test_settings_choose_the_families_and_sizes_are_those_of_their_own(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["evaluate_family", "72", "--plan", "--settings", "laptop-dit"])
    tool.main()
    said = capsys.readouterr().out.splitlines()
    assert all(line.startswith("laptop-dit") for line in said)  # and no levers, which are asked of UNets
    assert any("captions that say some: 0 of 40 cells" in line for line in said)


def test_where_nothing_is_said_there_is_no_guidance(stages):
    assert {cell.guidance for cell in stages["captions that say nothing"]} == {1.0}


def test_the_plan_counts_what_is_left_and_runs_nothing(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["evaluate_family", "16", "--plan", "--backwards"])
    monkeypatch.setattr(tool, "run", lambda *_, **__: pytest.fail("a plan runs nothing"))
    tool.main()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("laptop-eps denoising, seed 0: 0 of ")
    assert next(line for line in said if ", " in line and "denoising" not in line).startswith("laptop-eps, solvers: ")
    assert any(line.startswith("levers: ") for line in said)
    assert any(line.startswith("laptop-eps, captions that say some: 0 of 40 cells") for line in said)


def test_a_size_of_no_family_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["evaluate_family", "17", "--plan"])
    with pytest.raises(SystemExit):
        tool.main()
    assert "[17] are of none of these families" in capsys.readouterr().err


def test_other_ways_are_asked_what_the_chapter_shows_and_no_level_besides():
    flow, half, patches = (profiles.get(name) for name in ("laptop-flow", "laptop-flow-half", "laptop-dit-2"))
    plain = set(sampling.sampling_grid(flow, [48], flow.steps, flow.guidance))
    asked = tool.another_way(flow, [48])
    assert plain <= set(asked) and len(asked) == len(set(asked))
    assert {cell.sampler for cell in asked} == {"ddim", "heun", "dpm++"} and {cell.level for cell in asked} == {"some"}
    assert {cell.steps for cell in tool.another_way(half, [48])} == set(findings.few_steps(half))
    assert {cell.sampler for cell in tool.another_way(patches, [120])} == {"ddim"}
