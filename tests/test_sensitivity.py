"""Disturbances do what their names say, by as much as they are told; and what the rows say of them is right."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from ldm import profiles
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.disturbances import DISTURBANCES, blur, chosen, draw_disturbed, hue
from ldm.data.scenes.emoji import emojis
from ldm.data.scenes.record import held_out
from ldm.figures import protocol
from ldm.figures import sensitivity as sensitivity_charts
from ldm.paths import ROOT
from ldm.statistics import sensitivity
from ldm.study import probes, scene_metrics
from ldm.study.results import Store
from ldm.study.run import run

SMOKE = profiles.get("smoke")
CONFIG = SMOKE.scenes
N = 24
REAL = Scenes(CONFIG, "val", N)
PIXELS = [name for name, how in DISTURBANCES.items() if how.pixels]


def drawn(name: str, strength: float, n: int = N):
    batches, asked = draw_disturbed(CONFIG, name, strength, n)
    return np.concatenate(list(batches)), asked


# --- Every disturbance ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DISTURBANCES)
def test_at_strength_0_nothing_is_disturbed(name):
    images, asked = drawn(name, 0)
    np.testing.assert_array_equal(images, REAL.images(range(N)))
    assert asked == [REAL.scene(i) for i in range(N)]


@pytest.mark.parametrize("name", DISTURBANCES)
def test_the_first_of_many_pictures_are_a_few_pictures_and_come_out_the_same_again(name):
    strength = DISTURBANCES[name].strengths[1]
    images, asked = drawn(name, strength)
    few, few_asked = drawn(name, strength, 7)
    assert images.dtype == np.uint8 and images.shape == (N, 32, 32, 3)
    np.testing.assert_array_equal(images[:7], few)
    assert asked[:7] == few_asked


@pytest.mark.parametrize("name", DISTURBANCES)
def test_the_strengths_of_the_chapter_grow_and_exist(name):
    how = DISTURBANCES[name]
    assert list(how.strengths) == sorted(set(how.strengths)) and 0 < how.strengths[0] and how.strengths[-1] <= how.most
    for wrong in (-0.1, how.most * 1.01, float("nan")):
        with pytest.raises(ValueError, match=f"^{name} has strength {wrong}: expected 0 to"):
            draw_disturbed(CONFIG, name, wrong, N)


def test_a_disturbance_that_there_is_not_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="disturbance 'swirl': expected one of blur, noise"):
        probes.Probe(profile="smoke", task="swirl", strength=1, n=16)
    with pytest.raises(ValueError, match="n = 3: expected 16"):
        probes.Probe(profile="smoke", task="real", n=3)


# --- Pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PIXELS)
def test_more_of_it_moves_pixels_further(name):
    real = REAL.images(range(N)).astype(float)
    far = [np.square(drawn(name, s)[0] - real).mean() for s in (0, *DISTURBANCES[name].strengths)]
    assert far == sorted(far) and far[0] == 0 < far[1]


def test_blur_is_that_of_pil_but_for_its_boxes():
    """PIL's Gaussian is a few box filters in a row, near the true one where sigma is not small."""
    smooth = np.asarray(Image.fromarray(REAL.images([3])[0]).resize((128, 128), Image.Resampling.BICUBIC))
    ours = blur(smooth[None], 3.0, np.arange(1))[0].astype(float)
    theirs = np.asarray(Image.fromarray(smooth).filter(ImageFilter.GaussianBlur(3.0))).astype(float)
    assert np.abs(ours - theirs)[12:-12, 12:-12].mean() < 1  # levels of 255


def test_noise_is_normal_with_the_spread_it_is_told():
    grey = np.full((8, 32, 32, 3), 128, np.uint8)
    moved = DISTURBANCES["noise"].pixels(grey, 10.0, np.arange(8)).astype(float) - 128
    assert moved.std() == pytest.approx(np.hypot(10, np.sqrt(1 / 12)), rel=0.01) and abs(moved.mean()) < 0.3
    assert scipy.stats.kurtosis(moved.ravel()) == pytest.approx(0, abs=0.1)
    assert abs(np.corrcoef(moved[0].ravel(), moved[1].ravel())[0, 1]) < 0.06  # each picture has its own


@given(degrees=st.floats(-360, 360), grey=st.integers(0, 255))
def test_colours_turn_about_grey_and_keep_their_brightness(degrees, grey):
    middle = np.array([[[[grey] * 3, [100, 120, 140]]]], np.uint8)
    turned = hue(middle, degrees, np.arange(1))[0, 0].astype(int)
    assert (turned[0] == grey).all() and abs(turned[1].sum() - 360) <= 1
    assert np.linalg.norm(turned[1] - 120.0) == pytest.approx(np.hypot(20, 20), abs=1.2)
    np.testing.assert_array_equal(hue(middle, 120.0, np.arange(1))[0, 0, 1], [140, 100, 120])  # red goes to green


# --- Scenes --------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 300), share=st.floats(0, 1))
def test_a_share_is_chosen_evenly(n, share):
    found = chosen(n, share)
    assert abs(found.sum() - n * share) < 1 + 1e-6
    np.testing.assert_array_equal(found[: n // 2], chosen(n // 2, share))


def test_wrong_subjects_are_other_objects_of_the_split_in_the_same_place():
    how = DISTURBANCES["subject"]
    shown, asked = how.records(CONFIG, N, 0.5)
    for other, scene, wrong in zip(shown, asked, chosen(N, 0.5), strict=True):
        assert (other != scene) == wrong
        assert replace(other, objects=()) == replace(scene, objects=())
        assert [thing.box for thing in other.objects] == [thing.box for thing in scene.objects]
        if wrong:
            thing = other.objects[0]
            assert thing.name not in {t.name for t in scene.objects} and thing.name == emojis()[thing.index].caption
            assert not held_out(emojis()[thing.index].name, other.style)


def test_in_a_small_world_a_wrong_subject_may_be_of_no_split():
    config = profiles.get("laptop-eps").scenes
    shown, asked = DISTURBANCES["subject"].records(config, 1_800, 1.0)
    assert all(other.objects[0].name != scene.objects[0].name for other, scene in zip(shown, asked, strict=True))
    strange = [held_out(emojis()[other.objects[0].index].name, other.style) for other in shown]
    assert 0 < sum(strange) < 10, "only where no other object can be seen on the background"


def test_wrong_captions_change_no_picture_and_other_scenes_are_asked_for():
    images, asked = drawn("caption", 0.5)
    np.testing.assert_array_equal(images, REAL.images(range(N)))
    assert [scene != REAL.scene(i) for i, scene in enumerate(asked)] == chosen(N, 0.5).tolist()


def test_a_share_of_training_scenes_of_repeats_and_of_missing_subjects():
    assert [s.split for s in drawn("memorised", 0.25)[1]] == ["val", "val", "val", "train"] * (N // 4)
    assert len({s.index for s in drawn("repeated", 0.75)[1]}) == N // 4
    for share in (0.5, 0.75):
        scenes = DISTURBANCES["dropped"].records(CONFIG, 200, share)[1]
        names = {thing.index for scene in scenes for thing in scene.objects}
        assert names == set(range(round(CONFIG.vocabulary * (1 - share))))


# --- Cells and rows ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluator():
    return probes.ProbeEvaluator(SMOKE)


@pytest.fixture(scope="module")
def shipped():
    return Store(ROOT).rows(only="recorded", study="metrics", profile="smoke")


def test_every_cell_of_the_chapter_is_recorded(evaluator, shipped):
    for name in ("smoke", "laptop-eps"):
        rows = Store(ROOT).rows(only="recorded", study="metrics", profile=name)
        of = evaluator if name == "smoke" else probes.ProbeEvaluator(profiles.get(name))
        assert set(rows["key"]) == {of.key(cell) for cell in probes.probes_grid(profiles.get(name))}
        assert (rows["strength"].notna() == (rows["task"] != "model")).all()


@pytest.mark.slow
def test_a_cell_run_again_is_what_is_recorded_and_its_distances_are_the_judges_own(evaluator, shipped, tmp_path):
    cells = [c for c in probes.probes_grid(SMOKE, ["noise"]) if c.task == "noise" and c.strength == 8 and c.n <= 32]
    rows = run(cells, store=Store(tmp_path), evaluator=evaluator)
    both = rows.merge(shipped, on=["key", "metric", "protocol"], suffixes=("", "_shipped"))
    assert len(both) == len(rows) == len(cells) * len(set(shipped["metric"]))
    inside = both["value"].between(both["lo_shipped"] - 1e-6, both["hi_shipped"] + 1e-6)
    assert inside.all()
    images, asked = drawn("noise", 8.0, 32)
    score = scene_metrics.load_metrics(SMOKE).score([images], asked).estimates
    of_32 = rows[rows["n"] == 32].set_index("metric")["value"]
    for name, (estimate, _) in score.items():
        assert of_32[name] == pytest.approx(estimate.value, rel=1e-4, abs=1e-4)
    assert not (tmp_path / "runs/files").exists()


def test_every_row_is_of_the_protocol_of_its_card(evaluator, shipped):
    for name, card in evaluator.protocols.items():
        assert set(shipped[shipped["metric"] == name]["protocol"]) == {f"{card.line}; val captions"}
    assert len({card.fingerprint for card in evaluator.protocols.values()}) == 15  # four shapes share one


# --- What the rows say -----------------------------------------------------------------------------------------


def made_up(**values: list[float]) -> pd.DataFrame:
    """Rows of made-up metrics at n = 100 and 400: real 1 and 0.5, model 3, noise 1, 3, 8 as given; errors fall with
    n.
    """
    settings = [("real", 0.0), ("model", None), ("noise", 1.0), ("noise", 3.0), ("noise", 8.0)]
    rows = []
    for metric, noise in values.items():
        for n, half in ((100, 1.0), (400, 0.5)):
            for (task, strength), value in zip(settings, [1.0, 3.0, *noise], strict=True):
                rows.append(
                    SimpleNamespace(
                        task=task,
                        strength=strength,
                        metric=metric,
                        n=n,
                        value=value,
                        lo=value - half,
                        hi=value + half,
                        protocol="p",
                    ).__dict__
                )
    return pd.DataFrame(rows)


def test_changes_are_from_the_real_pictures_and_in_units_of_the_model():
    moved = sensitivity.changes(made_up(kid_effnet=[1.0, 2.0, 5.0]))
    at = moved[(moved["n"] == 400) & (moved["task"] == "noise")]
    np.testing.assert_allclose(at["value"], [0, 1, 4])
    np.testing.assert_allclose(at["hi"] - at["value"], np.hypot(0.5, 0.5))
    np.testing.assert_allclose(at["gaps"], [0, 0.5, 2])
    wide = (at["gaps_hi"] - at["gaps"]).to_numpy()
    np.testing.assert_allclose(wide, np.sqrt(0.5) * np.hypot(1, at["gaps"]) / 2)
    higher = sensitivity.changes(made_up(alignment=[1.0, 2.0, 5.0]))
    assert (higher[higher["task"] == "noise"]["value"] <= 0).all()  # a share that grows is no damage
    assert higher["gaps"].isna().all()  # and a model better than real pictures is no unit
    with pytest.raises(ValueError, match="no row of kid_effnet at n = 100 is of real pictures"):
        sensitivity.changes(made_up(kid_effnet=[1.0, 2.0, 5.0]).query("task != 'real'"))


def test_fewest_is_the_least_count_from_which_on_it_is_told():
    moved = sensitivity.changes(
        made_up(kid_effnet=[1.0, 2.0, 5.0], kid_scene=[1.0, 1.0, 2.0], fd_scene=[1.0, 1.0, 1.0])
    )
    table = sensitivity.fewest(moved, ["kid_effnet", "kid_scene", "fd_scene"])
    assert table["kid_effnet"].to_dict() == {"noise 1 · 3 · 8": "- · 400 · 100", "the model": "100"}
    assert table["kid_scene"].to_dict() == {"noise 1 · 3 · 8": "- · - · 400", "the model": "100"}
    assert table["fd_scene"].to_dict() == {"noise 1 · 3 · 8": "never", "the model": "100"}


def test_rankings_part_where_both_are_sure_and_a_fall_is_found():
    moved = sensitivity.changes(
        made_up(kid_effnet=[1.0, 20.0, 50.0], kid_scene=[50.0, 20.0, 1.0], fd_scene=[1.0, 21.0, 51.0])
    )
    pairs = sensitivity.parted(moved, "kid_effnet", "kid_scene")
    assert pairs.iloc[0].tolist()[:2] == ["noise 8", "noise 1"]
    assert sensitivity.parted(moved, "kid_effnet", "fd_scene").empty
    sentence = sensitivity_charts.falls(moved, ["kid_scene", "fd_scene"])
    assert (
        sentence == "In 6 steps from one strength to the next, 2 distances surely fall: KID-scene under noise, 1 to 3;"
        " KID-scene under noise, 3 to 8."
    )
    found = sensitivity.orders(moved, "kid_effnet", ["kid_scene", "fd_scene"])
    assert found["value"].tolist() == pytest.approx([-1, 1])


def test_values_of_two_protocols_meet_neither_in_a_change_nor_in_a_chart(shipped):
    rows = shipped[shipped["metric"] == "kid_effnet"].copy()
    rows.loc[rows.index[0], "protocol"] = "another"
    for ask in (sensitivity.changes, lambda rows: sensitivity_charts.by_count(rows, [("noise", 3)], ["kid_effnet"])):
        with pytest.raises(ValueError, match="rows mix protocol"):
            ask(rows)


# --- The protocol card -----------------------------------------------------------------------------------------


def test_the_card_folds_and_names_what_each_value_was_measured_with(evaluator, shipped):
    card = evaluator.protocols["kid_effnet"]
    text = protocol.folded(shipped[shipped["metric"].isin(["kid_effnet", "subject"])], evaluator.protocols)
    assert text.startswith("<details>\n<summary>Where do these numbers come from?</summary>\n\n- ") and text.endswith(
        "\n\n</details>"
    )
    for part in (card.network, card.weights, card.images, card.dtype, card.how, card.fingerprint):
        assert part in text
    assert "16 to 64 pictures" in text and "2000 real pictures of 32 x 32" in text
    assert text.count("\n- ") == 3 and "../_static/rows/metrics-smoke.csv" in text
    assert evaluator.metrics.scene.protocol in text


def test_metrics_of_one_protocol_share_a_line_and_the_command_stands_last(evaluator, shipped):
    rows = shipped[shipped["metric"].isin(["kind", "subject"])]
    text = protocol.folded(rows[rows["n"] == 64], {}, "make this", counted="rounds")
    assert (
        "- **background kinds named right, subjects named right**, 64 rounds a value: " in text
        and text.count("\n- ") == 3
        and "\n- **made by** `make this`\n" in text
    )
    assert "make this" not in protocol.folded(rows, {})
    assert ", 1 round a value: " in protocol.folded(rows.assign(n=1), {}, counted="rounds")


def test_a_value_of_another_protocol_is_not_shown_under_the_card(evaluator, shipped):
    rows = shipped[shipped["metric"] == "kid_effnet"].head(2).copy()
    rows["protocol"] = [rows["protocol"].iloc[0], "another network"]
    text = protocol.folded(rows, evaluator.protocols)
    assert text.count(evaluator.protocols["kid_effnet"].fingerprint) == 1 and "another network" in text
