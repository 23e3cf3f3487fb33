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
