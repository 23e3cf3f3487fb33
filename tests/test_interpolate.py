"""Ways between two captions: their ends, their lengths, and measures on ways whose truth is known."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import hypothesis.extra.numpy as some
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm import profiles
from ldm.data.scenes.captions import caption
from ldm.data.scenes.dataset import Scenes
from ldm.figures import samples, scrubber
from ldm.study import influences
from ldm.study import interpolation as interpolation_study
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.study.run import run
from ldm.tasks import interpolation

SMOKE = profiles.get("smoke")
vectors = some.arrays(np.float64, (2, 3, 8), elements=st.floats(-4, 4).filter(lambda x: abs(x) > 0.01))


@pytest.mark.slow
@pytest.mark.parametrize("way", [interpolation.lerp, interpolation.slerp])
@given(vectors)
def test_a_way_ends_where_it_should(way, ends):
    np.testing.assert_allclose(way(1, *ends), ends[0], atol=1e-6)
    np.testing.assert_allclose(way(0, *ends), ends[1], atol=1e-6)
    np.testing.assert_allclose(way(0.3, *ends), way(0.7, *ends[::-1]), atol=1e-6)


@given(vectors, st.floats(0, 1))
def test_the_circle_keeps_lengths_and_turns_evenly(ends, a):
    units = ends / np.linalg.norm(ends, axis=-1, keepdims=True)
    cosine = lambda x, y: np.clip((x * y).sum(-1), -1, 1)
    if (np.abs(cosine(*units)) > 0.999).any():
        return  # opposite vectors have no one way
    there = interpolation.slerp(a, *units)
    np.testing.assert_allclose(np.linalg.norm(there, axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(np.arccos(cosine(there, units[1])), a * np.arccos(cosine(*units)), atol=1e-4)


def test_pairs_are_of_one_object_each_and_the_same_whatever_their_number():
    found = interpolation.scene_pairs(Scenes(SMOKE.scenes, "val", 200), 20)
    assert all(len(scene.objects) == 1 for pair in found for scene in pair)
    assert all(a.objects[0].name != b.objects[0].name for a, b in found)
    assert interpolation.scene_pairs(Scenes(SMOKE.scenes, "val", 100), 5) == found[:5]
    with pytest.raises(ValueError, match="n = 60: there are only .* pairs among 100 scenes"):
        interpolation.scene_pairs(Scenes(SMOKE.scenes, "val", 100), 60)


def detections(belief: np.ndarray) -> SimpleNamespace:
    """Of one picture whose 64 cells all hold these shares of three objects."""
    return SimpleNamespace(
        labels=SimpleNamespace(objects=("x", "y", "z")), shares=np.broadcast_to(np.array(belief, float), (1, 8, 8, 3))
    )


def test_coherence_of_ways_that_are_straight_and_that_jump():
    pair = [tuple(SimpleNamespace(objects=[SimpleNamespace(name=name)]) for name in "xy")]
    seen = [detections(np.array(belief)) for belief in ((0, 1, 0), (0.55, 0.45, 0), (1, 0, 0), (0, 0, 1), (1, 0, 0))]
    even = np.linspace(0, 1, 5)[:, None, None] * np.ones((1, 1, 4))
    of_even = interpolation_study.coherence(even, seen, pair)
    assert of_even["detour"] == pytest.approx(1) and of_even["largest_step"] == pytest.approx(1 / 4)
    assert of_even["readable"] == pytest.approx(4 / 5)  # one picture shows z
    assert of_even["entropy"] == pytest.approx(0.9928 / 5, abs=1e-3)
    jump = np.round(even)
    assert interpolation_study.coherence(jump, seen, pair)["largest_step"] == pytest.approx(1)
    back = np.concatenate([even[::2], even[::2][::-1][1:]]) + 1e-3 * even
    assert interpolation_study.coherence(back, seen, pair)["detour"][0] > 100


def test_captions_of_a_way_say_as_much_as_is_asked_and_always_the_object():
    pairs = interpolation.scene_pairs(Scenes(SMOKE.scenes, "val", 100), 5)
    whole, subjects = (interpolation_study.captions(pairs, level) for level in ("all", "subject"))
    assert whole == [(caption(a), caption(b)) for a, b in pairs]
    for pair, texts in zip(pairs, subjects, strict=True):
        for scene, text in zip(pair, texts, strict=True):
            assert scene.objects[0].name in text and len(text.split()) <= 3


def test_measures_are_told_apart_by_guidance_rescaled_or_not():
    common = dict(study="interpolation", profile="smoke", task="lerp", c=8, guidance=7.5, protocol="-", n=64)
    rows = pd.DataFrame(
        [
            dataclasses.asdict(Row(metric="detour", value=value, lo=value, hi=value, strength=share, **common))
            for value, share in ((2.0, None), (3.0, 0.7))
        ]
    )
    assert list(scrubber.guided(rows)) == ["7.5", "7.5, rescaled"]
    rows["protocol"] = ["plain", "rescaled"]  # a row says how its pictures were guided
    chart = scrubber.measures(rows.assign(params=1000, steps=20, cost=1.0, gflops=1.0), ["detour"]).to_dict()
    shown = {point["shown"] for data in chart["datasets"].values() for point in data}
    assert shown == {"lerp, 7.5", "lerp, 7.5, rescaled"}


@pytest.mark.slow
def test_a_cell_leaves_four_measures_and_the_ways_of_its_first_pairs(tmp_path):
    cells = interpolation_study.interpolation_grid(SMOKE, [8], [1.5], steps=2, n=16, frames=3)
    rescaled = interpolation_study.interpolation_grid(SMOKE, [8], [4.0], steps=2, n=16, frames=3, rescale=0.7)
    store, evaluator = Store(tmp_path), interpolation_study.InterpolationEvaluator(SMOKE)
    rows = run(cells, store=store, evaluator=evaluator)
    assert set(rows["task"]) == {"lerp", "slerp"} and set(rows["n"]) == {16}
    assert set(rows["metric"]) == {"readable", "entropy", "detour", "largest_step"}
    assert (rows.loc[rows["metric"] == "detour", "value"] >= 1).all()
    plain = interpolation_study.interpolation_grid(SMOKE, [8], [4.0], steps=2, n=16, frames=3)
    both = run([plain[0], rescaled[0]], store=store, evaluator=evaluator)
    assert list(both["strength"].dropna().unique()) == [0.7] and both.groupby("metric")["value"].nunique().min() == 2
    asked = interpolation.scene_pairs(Scenes(SMOKE.scenes, "val", 256), 16)
    pictures = np.stack(np.split(samples.kept(store, evaluator.key(cells[0])), interpolation_study.KEPT))
    assert pictures.shape == (interpolation_study.KEPT, 3, 32, 32, 3)
    chart = scrubber.scrubber(
        {"c 8": pictures}, [(caption(a), caption(b)) for a, b in asked[: interpolation_study.KEPT]]
    ).to_dict()
    assert max(map(len, chart["datasets"].values())) == 3 * interpolation_study.KEPT
    same = scrubber.larger_against_smaller(rows, ["detour"], store)
    assert len(same) == 2 and same["detour"].str.contains("undecided").all()  # one size against itself


def test_the_larger_size_is_called_better_where_it_is(tmp_path):
    """Of two sizes on the same pairs: more readable pictures are better, a longer detour is worse."""
    store, noise = Store(tmp_path), np.random.default_rng(0).normal(size=64)
    for c, readable, detour in ((8, 0.3, 2.0), (16, 0.6, 2.5)):
        parts = {"readable": readable + 0.1 * noise, "detour": detour + 0.1 * noise}
        common = dict(study="interpolation", profile="smoke", task="lerp", c=c, guidance=2.0, protocol="-", n=64)
        rows = [
            Row(metric=name, value=x.mean(), lo=x.mean() - 1, hi=x.mean() + 1, **common) for name, x in parts.items()
        ]
        store.write(f"c{c}", rows, {influences.FILE: influences.pack(parts)})
    found = scrubber.larger_against_smaller(store.rows(), ["readable", "detour"], store).iloc[0]
    assert found["readable"].startswith("**better** +0.3") and found["detour"].startswith("**worse** -0.5")


@pytest.mark.parametrize(
    "field, value, says",
    [
        ("path", "straight", "expected lerp or slerp"),
        ("frames", 2, "expected 3 to 101"),
        ("rescale", 2.0, "expected 0 .guidance as it is. to 1"),
        ("level", "nothing", "expected one that says the object"),
    ],
)
def test_a_wrong_way_is_refused(field, value, says):
    with pytest.raises(ValueError, match=says):
        interpolation_study.Interpolation(
            study="interpolation",
            profile="smoke",
            c=8,
            images=SMOKE.length,
            steps=4,
            guidance=2.0,
            n=16,
            **{field: value},
        )
