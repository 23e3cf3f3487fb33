"""Numbers of different protocols do not meet: not in a reference, not on an axis, not in a verdict."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from ldm.data.scenes.dataset import Scenes
from ldm.figures import charts, protocol
from ldm.figures.protocol import alike
from ldm.metrics.catalogue import METRICS, told_apart
from ldm.metrics.protocol import Protocol
from ldm.paths import ROOT
from ldm.profiles import OPEN_EPS
from ldm.statistics import comparisons, optimum, verdicts
from ldm.study import scene_metrics
from ldm.study.results import Store
from ldm.tasks import pretrain
from tests import synthetic

CARD = Protocol(
    network="a network, 8-d, 32 px",
    weights="0a1b2c3d",
    images="07db1ec77f2969a2",
    n=2000,
    side=32,
    how="cubic kernel",
)
OTHERS = dict(network="another", weights="ffffffff", images="0", n=1999, side=64, dtype="float16", how="its square")


def test_a_card_is_a_line_and_a_fingerprint():
    assert CARD.line == "a network, 8-d, 32 px; cubic kernel, 2000 real scenes"
    assert CARD.fingerprint == replace(CARD).fingerprint and len(CARD.fingerprint) == 16


@pytest.mark.parametrize("field", OTHERS)
def test_any_other_field_is_another_protocol_and_refused_with_both_fingerprints(field):
    other = replace(CARD, **{field: OTHERS[field]})
    CARD.require(asdict(CARD), "the file")
    with pytest.raises(ValueError, match=f"^the file .*{field} is {OTHERS[field]!r}, not") as error:
        CARD.require(asdict(other), "the file")
    assert CARD.fingerprint in str(error.value) and other.fingerprint in str(error.value)


def test_captions_of_all_levels_are_told_in_words():
    rows = pd.DataFrame(
        {"metric": "mystery", "n": 64, "protocol": ["a; val captions", "a; val captions that say some"]}
    )
    prose = protocol.folded(rows, {})
    assert "a; val captions that say everything or val captions that say some" in prose


def test_metrics_whose_brief_names_are_one_are_told_apart():
    both = ("fd_scene", "fd_scene_decoded", "alignment")
    assert list(told_apart(both).values()) == ["FD-scene", "FD-scene, against decoded scenes", "scene alignment"]
    assert list(told_apart(both[1:]).values()) == ["FD-scene", "scene alignment"]


@pytest.mark.parametrize("found", [None, {}, {"network": "a"}, asdict(CARD) | {"more": 1}])
def test_what_has_no_card_is_refused(found):
    with pytest.raises(ValueError, match="the file does not say what it was made from"):
        CARD.require(found, "the file")


def test_the_recorded_rows_are_of_the_judges_own_protocols():
    rows = Store(ROOT).rows(only="recorded", profile="laptop-eps", study="sampling")
    cards = scene_metrics.load_metrics(OPEN_EPS).protocols
    for name, card in cards.items():
        of_it = set(rows[rows["metric"] == name]["protocol"].str.partition("; val captions")[0])
        assert of_it <= {card.line} and (of_it or name.startswith("is_")), name
    assert len({card.fingerprint for card in cards.values()}) == len(cards)


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A profile of 70 real scenes, whose reference lies in a folder of its own."""
    monkeypatch.setattr(scene_metrics, "references_path", lambda profile: tmp_path / "reference.safetensors")
    profile = replace(OPEN_EPS, reference=70)
    return profile, scene_metrics.make_references(profile)


@pytest.mark.slow
def test_references_come_back_as_they_were_made_and_others_are_refused(few):
    profile, made = few
    loaded = scene_metrics.load_metrics(profile).references
    for name, reference in made.items():
        assert loaded[name].protocol == reference.protocol and reference.protocol.n == 70
        np.testing.assert_array_equal(loaded[name].gaussian.covariance, reference.gaussian.covariance)
    path = scene_metrics.references_path(profile)
    with pytest.raises(ValueError, match="its n is 70, not 20000; make it again"):
        scene_metrics.load_metrics(OPEN_EPS)
    for name, field, value in (
        ("effnet", "weights", "ffffffff"),
        ("scene", "network", "larger"),
        ("scene", "images", "0"),
    ):
        wrong = json.loads(scene_metrics.cards_of(path).read_text())
        wrong[name] |= {field: value}
        broken = path.with_name("wrong.safetensors")
        broken.write_bytes(path.read_bytes())
        scene_metrics.cards_of(broken).write_text(json.dumps(wrong))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scene_metrics, "references_path", lambda profile, broken=broken: broken)
            with pytest.raises(ValueError, match=f"{name} was made under protocol .*{field} is '{value}'") as error:
                scene_metrics.load_metrics(profile)
        assert made[name].protocol.fingerprint in str(error.value)


@pytest.mark.slow
def test_what_an_autoencoder_cannot_show_is_no_models_fault(tmp_path, monkeypatch):
    """Decoded scenes are far from real ones and at no distance from decoded ones, of which they are a sample."""
    monkeypatch.setattr(scene_metrics, "references_path", lambda profile: tmp_path / "reference.safetensors")
    profile = replace(OPEN_EPS, reference=192)
    scene_metrics.make_references(profile)
    metrics = scene_metrics.load_metrics(profile)
    data, codec = Scenes(profile.scenes, "val", 96), pretrain.frozen_networks(profile)[0]
    scenes = [data.scene(i) for i in range(96)]
    found = metrics.score([codec.decode(codec.encode(data.images(range(96))))], scenes).estimates
    real, decoded = (found[f"kid_effnet{ending}"][0] for ending in ("", scene_metrics.DECODED))
    assert real.lo > 0 and abs(decoded.value) < 0.2 * real.value
    assert "through autoencoder" in metrics.protocols["fd_scene_decoded"].images
    assert set(found) <= set(METRICS)


ASKED = {
    "a chart": charts.pick,
    "a verdict": verdicts.f3,
    "takeovers": comparisons.takeovers,
    "enough steps": optimum.enough_steps,
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("metric", ["kid_effnet", "fd_effnet"])
def test_values_of_two_protocols_meet_nowhere(asked, metric):
    rows = synthetic.sampling_rows()
    rows["metric"] = rows["metric"].replace("kid_effnet", metric)
    ASKED[asked](rows, metric)
    rows.loc[rows.index[rows["metric"] == metric][0], "protocol"] = "another"
    with pytest.raises(ValueError, match=r"rows mix protocol = \['another', 'synthetic'\]"):
        ASKED[asked](rows, metric)


@pytest.mark.parametrize("asked", ASKED)
def test_frechet_distances_of_two_sample_sizes_do_not_meet_and_kernel_distances_may(asked):
    rows = synthetic.sampling_rows()
    rows.loc[rows.index[rows["metric"] == "kid_effnet"][0], "n"] = 500
    ASKED[asked](rows, "kid_effnet")
    rows["metric"] = rows["metric"].replace("kid_effnet", "fd_effnet")
    with pytest.raises(ValueError, match=r"rows mix n = \[500, 2000\]"):
        ASKED[asked](rows, "fd_effnet")


def test_a_column_that_is_missing_is_named():
    with pytest.raises(ValueError, match=r"rows lack the columns \['protocol'\]"):
        charts.pick(synthetic.sampling_rows().drop(columns="protocol"), "kid_effnet")


def test_protocols_that_differ_in_one_part_are_one():
    assert alike(["a; 1; x", "a; 2; x", "a; 1", "b"]) == ["a; 1 or 2; x", "a; 1", "b"]
    assert alike(["a; 1; x", "a; 2; y"]) == ["a; 1; x", "a; 2; y"], "they differ in two"
    assert alike([]) == [] and alike(["a", "a"]) == ["a"]
