"""The primer's figures show what they say: noise that wins, a guess that becomes the picture, guidance as a vector
sum.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ldm.diffusion import mixture, solvers
from ldm.diffusion.sampler import image_keys, initial_noise, sample
from ldm.diffusion.schedule import Schedule
from ldm.figures import primer
from ldm.networks.structure import split

SD = Schedule.sd()


def data(chart) -> list[pd.DataFrame]:
    return [pd.DataFrame(rows) for rows in chart.to_dict()["datasets"].values()]


def test_the_ratio_of_signal_to_noise_falls_and_their_powers_add_up_to_one():
    curves, ratio = (next(d for d in data(primer.noise_levels(SD, [0, 999])) if name in d) for name in ("of", "snr"))
    assert (ratio["snr"].diff().dropna() < 0).all()
    np.testing.assert_allclose((curves["value"] ** 2).groupby(curves["t"]).sum(), 1, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ddim", "dpm++", "dpm++3m", "unipc"])
def test_the_guesses_are_those_that_sampling_goes_by(sampler):
    structure, params = split(mixture.Mixture(SD))
    none, keys, plan = np.zeros((5, 1, 1), np.float32), image_keys(0, np.arange(5)), solvers.plan(sampler, 6, "leading")
    draw = lambda context, plan, guidance: np.asarray(
        sample(structure, params, plan, context, none, guidance, keys, predict="x0", shape=(1, 1, 2))
    )
    of = SimpleNamespace(text=SimpleNamespace(encode=lambda c: none + 1), latents=lambda *given: iter([draw(*given)]))
    found = primer.guesses(of, ["a point"] * 5, plan, 3.0)
    rows = int(plan.n)
    assert found.shape == (5, rows, 1, 1, 2)
    x, before = np.asarray(initial_noise(keys, (1, 1, 2))), [np.zeros((5, 1, 1, 2))] * 2
    for k in range(rows):  # the noisy pictures of the film, from its guesses alone
        newest = found[:, k]
        x = plan.x[k] * x + plan.x0[k] * newest + plan.x0_prev[k] * before[-1] + plan.x0_prev2[k] * before[-2]
        before = [before[-1], newest]
    np.testing.assert_allclose(x, draw(none + 1, plan, 3.0), atol=1e-4)
    if sampler == "ddim":
        np.testing.assert_allclose(found[:, -1], x, atol=1e-4)


def test_guidance_is_a_vector_sum_and_none_at_one():
    arrows = next(d for d in data(primer.guidance_in_two_dimensions(steps=4)) if "arrow" in d)
    ends = {name: part.set_index("scale")[["x2", "y2"]] for name, part in arrows.groupby("arrow")}
    plain, captioned, guided = (ends[name] for name in ("without the caption", "with it", "guided"))
    np.testing.assert_allclose(guided, plain + (captioned - plain).mul(captioned.index, axis=0), atol=1e-5)
    np.testing.assert_allclose(guided.loc[1.0], captioned.loc[1.0], atol=1e-6)
