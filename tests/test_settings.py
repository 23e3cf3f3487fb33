"""The paper's findings asked in two settings: of what both have, and with a sentence where rows cannot answer."""

from __future__ import annotations

import pytest

from ldm import profiles
from ldm.figures import settings
from ldm.study.results import Store
from ldm.study.rows import Row

BOTH = [profiles.get(name) for name in ("laptop-eps", "laptop-v")]
METRIC = "fd_scene_decoded"


def write(store: Store, profile, sizes, better) -> None:
    """A grid by DDIM in which quality is better(c, steps), and held-out losses that fall with both."""
    for c in sizes:
        common = dict(profile=profile.name, c=c, size=f"{c}", params=c, gflops=float(c), seed=0, level="some")
        for steps in (4, 8, 16):
            value = better(c, steps)
            drawn = dict(study="sampling", task="pretrain", images_seen=profile.length, sampler="ddim", guidance=1.0)
            row = Row(
                **common, **drawn, steps=steps, nfe=steps, cost=float(c * steps), n=profile.n, metric=METRIC,
                protocol="p", value=value, lo=value - 0.01, hi=value + 0.01,
            )  # fmt: skip
            store.write(f"{profile.name}-{c}-{steps}", [row])


@pytest.fixture
def found(tmp_path):
    store = Store(tmp_path)
    write(store, BOTH[0], (8, 16, 32), lambda c, steps: 10.0 + c)  # size harms, and steps do nothing
    write(store, BOTH[1], (8, 16), lambda c, steps: 100.0 / c)  # size alone helps
    return settings.answers(store, BOTH, [METRIC]).set_index("asked")


def test_settings_are_asked_of_the_sizes_that_both_have(found):
    noise, v = (found[settings.setting(profile.name)] for profile in BOTH)
    assert found.index.tolist() == ["F1", "F3, all steps", "F3, from 4 steps on", "F4, DDPM", "F4, DPM++"]
    assert noise["F3, all steps"].startswith("**holds**") and v["F3, all steps"].startswith("**fails**")
    assert found["by"]["F1"] == "held-out denoising loss" and "not asked of these rows" in noise["F1"]
    assert "F4 needs two sizes" in v["F4, DDPM"]


def taught(store: Store, profile, sizes, value) -> None:
    """CoDi students in four steps."""
    for c in sizes:
        row = Row(
            study="distillation", profile=profile.name, task="codi", c=c, size=f"{c}", params=c, gflops=float(c),
            seed=0, level="some", images_seen=profile.distilled, sampler="consistency", steps=4, guidance=1.0, nfe=4,
            cost=4.0 * c, n=profile.n, metric=METRIC, protocol="p", value=value, lo=value - 0.01, hi=value + 0.01,
        )  # fmt: skip
        store.write(f"{profile.name}-codi-{c}", [row])


def test_families_are_asked_of_partners_and_only_what_is_named(tmp_path):
    """c = 24 has rows and its partner, width 96, none: so with it the answer would be another."""
    store, pair = Store(tmp_path), [profiles.get(name) for name in ("laptop-eps", "laptop-dit")]
    write(store, pair[0], (8, 16, 24), lambda c, steps: 1.0 if c == 24 else 10.0 + c)
    write(store, pair[1], (48, 72, 120), lambda c, steps: 100.0 / c)
    taught(store, pair[0], (8, 16), 9.0)
    taught(store, pair[1], (48, 72), 0.1)
    kinds = {"laptop-eps": "UNets", "laptop-dit": "transformers"}
    found = settings.answers(store, pair, [METRIC], ("F3", "F6"), kinds.get).set_index("asked")
    assert list(found.index) == ["F3, all steps", "F3, from 4 steps on", "F6, equal cost", "F6, 7/4 of it"]
    assert found["UNets"]["F3, all steps"].startswith("**holds**")
    assert found["transformers"]["F3, all steps"].startswith("**fails**")
    assert "**" in found["UNets"]["F6, 7/4 of it"] and found["transformers"]["F6, equal cost"].startswith("**fails**")
