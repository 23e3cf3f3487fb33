"""The study of levers: what each lever draws, what it costs, and that a lever which does nothing draws the same."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest

from ldm import profiles
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.unwanted import unwanted
from ldm.diffusion.plan import handover, owners
from ldm.hashing import key
from ldm.networks import cost
from ldm.paths import ROOT
from ldm.study import lever_grid, levers
from ldm.study.lever_cells import (
    Guide,
    Handover,
    Interval,
    Kept,
    Negative,
    Projected,
    Renoised,
    Rescaled,
    Search,
    Stored,
)
from ldm.study.levers import LeverEvaluation, LeverEvaluator
from ldm.study.sampling import Evaluation, SamplingEvaluator
from ldm.study.scene_metrics import Measurement
from ldm.tasks.generate import Generator
from ldm.tasks.models import Model
from ldm.training.gradients import half
from tests.test_guidance import STRONG, WEAK
from tests.test_search import Codec, Text

OPEN = profiles.get("laptop-eps")
PLAIN = dict(study="sampling", profile=OPEN.name, images=OPEN.length, steps=8, guidance=3.0, n=64)
SHAPE = dict(size=8, tokens=24, context=128)
ONE = {c: cost.unet_gflops(c, **SHAPE) for c in OPEN.family}


def pulled(lever, **changed) -> LeverEvaluation:
    return LeverEvaluation(**(PLAIN | {"study": "levers", "c": 16} | changed), lever=lever)


@pytest.fixture(scope="module")
def evaluator():
    return LeverEvaluator(OPEN)


class Data:
    """What an evaluator asks of its scenes."""

    def captions(self, rows):
        return [f"caption {i}" for i in rows]


SCENES = Scenes(OPEN.scenes, "val", 64, level="some")


class Toys(LeverEvaluator):
    """Draws with toy networks in place of trained ones: c = 16 is the strong one, all others the weak one."""

    def load(self, model) -> Generator:
        structure, params = STRONG if model.c == 16 else WEAK
        profile = replace(OPEN, batch=4)
        return Generator(profile=profile, structure=structure, params=params, codec=Codec(), text=Text())

    def drawn(self, cell: Evaluation) -> np.ndarray:
        return np.concatenate(list(self.draw(cell, Data())))


@pytest.mark.slow
def test_a_lever_that_does_nothing_draws_what_is_drawn_without_it():
    toys = Toys(OPEN)
    plain = np.concatenate(list(SamplingEvaluator.draw(toys, Evaluation(**PLAIN | dict(n=16), c=16), Data())))
    same = (
        Interval(low=0, high=1e9),
        Guide(c=16, images=OPEN.length, captioned=False),  # itself, on the empty caption
        Rescaled(share=1e-9),
        Projected(norm=1e9, parallel=1, momentum=0),
    )
    for lever in same:
        drawn = toys.drawn(pulled(lever, n=16))
        assert np.abs(drawn.astype(int) - plain).max() <= 1, lever.name
    others = (Interval(low=0.3, high=5), Guide(c=8, images=OPEN.length, captioned=True), Handover(c=8, after=3))
    for lever in others:
        assert np.abs(toys.drawn(pulled(lever, n=16)).astype(int) - plain).max() > 1, lever.name


@pytest.mark.parametrize(
    "lever, gflops",
    [
        (Interval(low=0, high=1e9), 16 * ONE[16]),
        (Interval(low=0, high=1e-9), 8 * ONE[16]),
        (Guide(c=8, images=OPEN.length, captioned=False), 8 * (ONE[16] + ONE[8])),
        (Guide(c=16, images=40_000, captioned=True), 16 * ONE[16]),
        (Handover(c=32, after=2), 4 * ONE[16] + 12 * ONE[32]),
        (Kept(every=4, depth=1), 4 * ONE[16] + 12 * cost.shallow_gflops(16, 1, **SHAPE)),
        (Rescaled(share=0.7), 16 * ONE[16]),
        (Projected(norm=2), 16 * ONE[16]),
        (Negative(unwanted="another scene"), 16 * ONE[16]),
        (Stored(kind="int8"), 16 * ONE[16]),
        (Search(candidates=3), 3 * 16 * ONE[16] + 3 * 0.5 + 2 * 0.25),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_flops_truly_done_are_those_of_all_passes(evaluator, lever, gflops, monkeypatch):
    monkeypatch.setitem(evaluator.__dict__, "search_gflops", {levers.LOOK: 0.5, levers.DECODED: 0.25})
    found = evaluator.columns(pulled(lever))
    assert found["done"] == pytest.approx(gflops)
    assert (found["lever"], found["dose"]) == (lever.name, lever.dose)


def test_the_papers_cost_is_told_where_its_unit_says_anything(evaluator):
    plain = SamplingEvaluator(OPEN).columns(Evaluation(**PLAIN, c=16))["cost"]
    assert evaluator.columns(pulled(Interval(low=0.3, high=5)))["cost"] == plain
    assert evaluator.columns(pulled(Negative(unwanted="another scene")))["cost"] == plain
    assert evaluator.columns(pulled(Kept(every=2)))["cost"] is None


def test_a_search_keeps_the_picture_that_the_verifier_likes_best_and_its_rows_say_how_much(monkeypatch):
    toys, cell = Toys(OPEN), pulled(Search(candidates=3), n=16)
    brightness = lambda images, captions: images.mean((1, 2, 3), dtype=np.float64)
    monkeypatch.setitem(toys.__dict__, "verifier", brightness)
    kept, plain = toys.drawn(cell), toys.drawn(pulled(Rescaled(share=1e-9), n=16))
    assert (brightness(kept, []) >= brightness(plain, [])).all() and not np.array_equal(kept, plain)
    monkeypatch.setattr(toys, "_fits", [])
    nothing = Measurement(estimates={})
    monkeypatch.setattr(SamplingEvaluator, "evaluate", lambda self, cell: (nothing, self.drawn(cell), 0.0))
    measured = {name: estimate.value for name, (estimate, _) in toys.evaluate(cell)[0].estimates.items()}
    assert measured["similarity"] == pytest.approx(brightness(kept, []).mean(), rel=1e-6)
    assert measured["similarity_first"] == pytest.approx(brightness(plain, []).mean(), abs=1)
    assert not toys.evaluate(pulled(Interval(low=0.3, high=5), n=16))[0].estimates


def test_a_negative_prompt_is_what_guidance_leads_away_from():
    """As in the equation, by hand: the network's two answers, and the estimate beyond the wanted one."""
    toys = Toys(OPEN)
    generator, plan = toys.load(Model(16, OPEN.length)), OPEN.plan("ddim", 1)
    captions, others = SCENES.captions(range(16)), unwanted(SCENES, range(16), "one thing changed")
    images = lambda guidance, **options: np.concatenate(list(generator.latents(wanted, plan, guidance, **options)))
    wanted, away = generator.text.encode(captions), generator.text.encode(others)
    led = images(3.0, negative=away)
    with_caption = images(1.0)
    with_other = np.concatenate(list(generator.latents(away, plan, 1.0)))
    np.testing.assert_allclose(led, with_other + 3 * (with_caption - with_other), atol=1e-4)
    cell = pulled(Negative(unwanted="one thing changed"), n=16, level="some")
    drawn = np.concatenate(list(generator.images(captions, OPEN.plan("ddim", 8), 3.0, negative=others)))
    np.testing.assert_array_equal(np.concatenate(list(toys.draw(cell, SCENES))), drawn)


def test_negative_prompts_that_would_not_be_asked_are_refused():
    generator, plan = Toys(OPEN).load(Model(16, OPEN.length)), OPEN.plan("ddim", 2)
    captions = SCENES.captions(range(4))
    for guidance, others in ((1.0, captions), (3.0, captions[:3])):
        with pytest.raises(ValueError, match=f"{len(others)} negative prompts for 4 pictures at guidance"):
            next(generator.images(captions, plan, guidance, negative=others))


def test_every_kind_of_pass_is_timed(evaluator):
    timed = importlib.import_module("benchmarks.levers")
    asked = {kind for cell in lever_grid.lever_grid(OPEN) for _, kind, count in evaluator.asked(cell) if count}
    assert asked == {*timed.KINDS, *timed.ADDED}


def test_a_search_is_charged_what_the_protocol_says(evaluator):
    said = (ROOT / "book/protocol.md").read_text()
    for kind, printed in ((levers.LOOK, "0.155"), (levers.DECODED, "0.134")):
        assert evaluator.gflops(0, kind) == pytest.approx(float(printed), abs=5e-4) and f"{printed} GFLOPs" in said


def test_a_key_holds_the_lever_its_setting_and_the_second_model(evaluator, monkeypatch):
    monkeypatch.setattr(evaluator, "_digest", lambda model: str(tuple(model)))
    cells = [
        pulled(lever)
        for lever in (
            Interval(low=0, high=5),
            Interval(low=0, high=4),
            Guide(c=8, images=OPEN.length, captioned=True),
            Guide(c=8, images=OPEN.length, captioned=False),
            Guide(c=8, images=40_000, captioned=True),
            Handover(c=8, after=2),
            Handover(c=8, after=3),
            Search(candidates=2),
            Search(candidates=4),
        )
    ]
    assert len({evaluator.key(cell) for cell in cells}) == len(cells)
    before = evaluator.key(cells[2])
    monkeypatch.setattr(evaluator, "_digest", lambda model: "other" if model.c == 8 else str(model))
    assert evaluator.key(cells[2]) != before


@pytest.mark.parametrize(
    "changed, word",
    [
        (dict(lever=Handover(c=32, after=8)), "after 8"),
        (dict(lever=Handover(c=16, after=2)), "another size"),
        (dict(lever=Handover(c=32, after=2), sampler="heun"), "asks once"),
        (dict(lever=Handover(c=7, after=2)), "c = 7"),
        (dict(lever=Guide(c=8, images=7, captioned=True)), "images"),
        (dict(lever=Renoised(), guidance=2.0), "CFG"),
        (dict(lever=Rescaled(share=0.7), guidance=0.5), "guidance"),
        (dict(lever=Negative(unwanted="another scene"), guidance=1.0), "guidance = 1"),
    ],
)
def test_what_cannot_be_is_refused_when_the_cell_is_made(changed, word):
    with pytest.raises(ValueError, match=word):
        pulled(**changed)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Stored(kind="int4"),
        lambda: Kept(every=1),
        lambda: Kept(every=2, depth=12),
        lambda: Interval(low=5, high=1),
        lambda: Interval(low=-1, high=1),
        lambda: Interval(low=0, high=float("nan")),
        lambda: Rescaled(share=0),
        lambda: Renoised(share=2),
        lambda: Projected(norm=-1),
        lambda: Negative(unwanted="blurry"),
        lambda: Search(candidates=1),
    ],
)
def test_a_lever_that_cannot_be_is_refused_in_one_sentence(make):
    with pytest.raises(ValueError, match="expected") as caught:
        make()
    assert "\n" not in str(caught.value)


def test_the_grid_asks_every_lever_at_every_size_and_step_count():
    cells = lever_grid.lever_grid(OPEN)
    assert len(set(cells)) == len(cells) == len({key(cell) for cell in cells})
    for kind in (Interval, Handover, Kept, Rescaled, Projected, Renoised, Negative):
        asked = {(cell.c, cell.steps) for cell in cells if isinstance(cell.lever, kind)}
        assert asked == {(c, steps) for c in (8, 16, 24, 32) for steps in lever_grid.STEPS}
    guides = {(cell.c, cell.lever.c, cell.lever.captioned) for cell in cells if isinstance(cell.lever, Guide)}
    assert guides == {
        *((8, 8, True), (16, 16, True), (32, 32, True), (16, 8, True), (32, 16, True)),
        *((16, 8, False), (24, 8, False), (24, 16, False), (32, 8, False), (32, 16, False)),
    }
    assert {cell.lever.c for cell in cells if isinstance(cell.lever, Handover)} == set(lever_grid.PARTNERS)
    assert {cell.c for cell in lever_grid.student_grid(OPEN)} == set(lever_grid.PARTNERS)


def test_guides_are_asked_at_every_step_count_but_for_many_of_the_largest():
    cells = lever_grid.guided_grid(OPEN)
    assert {cell.steps for cell in cells if cell.c == 8} == set(OPEN.steps)
    assert {cell.steps for cell in cells if cell.c == 32} == {s for s in OPEN.steps if s <= lever_grid.MOST}
    asked = lever_grid.lever_grid(OPEN, lever_grid.PARTNERS)
    assert {cell.c for cell in cells} == set(lever_grid.PARTNERS)
    assert {cell for cell in asked if isinstance(cell.lever, Guide)} == {
        cell for cell in cells if cell.steps in lever_grid.STEPS
    }
    assert lever_grid.guided_grid(profiles.get("smoke")) == []


def test_other_sizes_of_the_family_change_nothing():
    cells = lever_grid.lever_grid(OPEN)
    by_size = [cell for c in OPEN.family for cell in lever_grid.lever_grid(OPEN, [c])]
    assert by_size == cells == lever_grid.lever_grid(OPEN, OPEN.family)
    assert lever_grid.lever_grid(profiles.get("smoke")) == []


class Recorder:
    """A generator that only says what it was asked."""

    structure, params = STRONG

    def __init__(self):
        self.asked: list[tuple] = []

    def images(self, captions, plan, guidance, **options):
        self.asked.append((guidance, options, self.params))
        return iter(())

    def __deepcopy__(self, memo):
        return self


def test_each_lever_reaches_the_sampler_with_its_numbers(evaluator, monkeypatch):
    generator = Recorder()
    monkeypatch.setattr(evaluator, "_model", lambda model: generator)
    monkeypatch.setattr(levers, "replace", lambda one, **changed: one.__dict__.update(changed) or one)

    def asked(lever, **changed):
        list(evaluator.draw(pulled(lever, **changed), Data()))
        return generator.asked[-1]

    assert asked(Kept(every=3, depth=1))[1]["reuse"] == (3, 1)
    assert asked(Renoised(share=0.6), guidance=0.5)[0][::4] == (0.5, 0.6)
    assert asked(Rescaled(share=0.7))[0][:2] == (3.0, 0.7)
    assert asked(Projected(norm=2, parallel=0.1, momentum=-0.3))[0].projection == (0.1, 2, -0.3)
    assert asked(Interval(low=0.3, high=5))[0].interval == (0.3, 5)
    assert {str(p.dtype) for p in asked(Stored(kind="bfloat16"))[2].values()} == {"bfloat16"}


def test_a_handover_in_bfloat16_happens_at_its_step():
    plan = OPEN.plan("ddim", 8)
    times = {"until": handover(plan, [2])}
    rounded = half({**times, "a.weight": np.ones((2, 2), np.float32), "networks.0.proj_out.weight": np.ones((2, 2))})
    assert (owners(plan, np.asarray(rounded["until"], np.float32)) == owners(plan, times["until"])).all()
    assert rounded["networks.0.proj_out.weight"].dtype != rounded["a.weight"].dtype
