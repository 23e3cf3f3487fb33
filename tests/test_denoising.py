"""The held-out denoising loss on shipped models: more training lowers it, and a picture's error is its own."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ldm import paths
from ldm.profiles import PROFILES
from ldm.study import denoising
from ldm.study.denoising import AT_TIME, OVER_TIMES, TIMES, Denoising, DenoisingEvaluator, denoising_grid
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import models

SMOKE = PROFILES["smoke"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evaluator() -> DenoisingEvaluator:
    return DenoisingEvaluator(SMOKE)


def test_a_cell_leaves_a_row_for_each_time_and_their_mean(evaluator, tmp_path):
    store = Store(tmp_path)
    rows = run(denoising_grid(SMOKE, [8], SMOKE.lengths, n=16), evaluator=evaluator, store=store)
    overall, times = (rows[rows["metric"] == name] for name in (OVER_TIMES, AT_TIME))
    assert len(overall) == 2 and set(times["strength"]) == set(TIMES)
    for key, part in times.groupby("key"):
        assert part["value"].mean() == pytest.approx(overall.set_index("key").loc[key, "value"])
    by_length = overall.set_index("images_seen")["value"]
    assert by_length[SMOKE.length] < by_length[SMOKE.lengths[0]]
    influences = store.influences(overall, OVER_TIMES)
    assert {len(part) for part in influences.values()} == {16}


def test_a_pictures_error_is_its_own_whatever_the_number_of_pictures(evaluator):
    few, many = (Denoising(profile="smoke", c=8, images=SMOKE.length, n=n, level="all") for n in (16, 20))
    first, more = (evaluator.evaluate(cell)[0].influences[OVER_TIMES] for cell in (few, many))
    np.testing.assert_allclose(more[:16], first, rtol=1e-4)


def test_an_average_made_after_the_fact_leaves_its_mean_alone_and_its_share(tmp_path, monkeypatch):
    usual, averaged = (denoising_grid(SMOKE, [8], (SMOKE.length,), n=16, shares=[share])[0] for share in (0.0, 0.05))
    shipped = models.file_of(SMOKE, 8, SMOKE.length)
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    path = models.model_path(SMOKE, 8, SMOKE.length, 0, tmp_path, models.average_kind(0.05))
    path.parent.mkdir()
    shutil.copy(shipped, path)
    evaluator = DenoisingEvaluator(SMOKE)
    assert evaluator.key(usual) != evaluator.key(averaged), "the cells differ, though the weights are the same"
    rows = run([usual, averaged], evaluator=evaluator, store=Store(tmp_path))
    [mean] = rows[rows["task"] == "average"].to_dict("records")
    again = rows[(rows["task"] == "denoise") & (rows["metric"] == OVER_TIMES)]
    assert mean["metric"] == OVER_TIMES and mean["strength"] == 0.05 and mean["value"] == again["value"].item()


@pytest.mark.parametrize(
    "changed, says",
    [
        ({"c": 9}, "c = 9: expected a size"),
        ({"images": 7}, "images = 7: expected"),
        ({"n": 2}, "n = 2: expected 16"),
        ({"share": 0.9}, "sigma_rel = 0.9"),
    ],
)
def test_a_cell_that_cannot_be_is_refused(changed, says):
    with pytest.raises(ValueError, match=says):
        Denoising(**{"profile": "smoke", "c": 8, "images": SMOKE.length, "n": 16, "level": "all"} | changed)


def test_captions_are_those_of_training_unless_told_otherwise():
    assert {cell.level for cell in denoising_grid(PROFILES["laptop-eps"], [8], (20_000,))} == {"some"}
    assert denoising.denoising_grid(SMOKE, [8], SMOKE.lengths[:1])[0].n == denoising.LEAST
