"""The worlds in which a denoiser needs no training: their answers are the means that Bayes' rule gives."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm.diffusion import mixture
from ldm.diffusion.denoiser import denoiser
from ldm.diffusion.schedule import Schedule

SD = Schedule.sd()


@pytest.mark.parametrize("captioned", [0.0, 1.0])
@pytest.mark.parametrize("t", [50, 500, 950])
def test_the_denoiser_of_the_two_dimensional_world_is_the_mean_of_what_the_point_may_have_been(captioned, t):
    """By summing over a grid of x0, with the weights that their densities and the noise's give them."""
    axis, x, (alpha, sigma) = np.linspace(-5, 5, 801), np.float32([0.1, 0.9]), (SD.alpha[t], SD.sigma[t])
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    means = mixture.MEANS[:1] if captioned else mixture.MEANS
    prior = sum(np.exp(-np.square(grid - mean).sum(-1) / (2 * mixture.SPREAD**2)) for mean in means)
    weight = prior * np.exp(-np.square(x - alpha * grid).sum(-1) / (2 * sigma**2))
    net = denoiser(mixture.Mixture(SD))
    context = jnp.full((1, 1, 1), captioned, jnp.float32)
    answer = net(jnp.asarray(x[None, None, None]), jnp.full(1, t), 0.0, 1.0, context)
    np.testing.assert_allclose(np.asarray(answer)[0, 0, 0], weight @ grid / weight.sum(), atol=2e-3)


@given(st.floats(-3, 3), st.integers(0, 999), st.floats(0.01, 0.99))
def test_between_two_points_the_denoiser_weighs_them_by_their_densities(x, t, upper):
    alpha, sigma = SD.alpha[t], SD.sigma[t]
    likely = np.array([-((x - alpha) ** 2), -((x + alpha) ** 2)]) / (2 * sigma**2) + np.log([upper, 1 - upper])
    weight = np.exp(likely - likely.max())
    answer = mixture.two_points(np.array([x]), alpha, sigma, upper)
    np.testing.assert_allclose(answer, weight @ [1, -1] / weight.sum(), atol=1e-6)


@pytest.mark.parametrize("upper", [0.3, 0.5, 0.9])
def test_in_many_steps_two_points_are_drawn_as_often_as_they_occur(upper):
    n = 10_000
    drawn = mixture.drawn(partial(mixture.two_points, upper=upper), 200, n)
    assert np.mean(np.abs(np.abs(drawn) - 1) < 0.1) > 0.97
    assert abs(np.mean(drawn > 0) - upper) < 4 * np.sqrt(upper * (1 - upper) / n) + 0.02


def test_one_step_draws_the_mean_and_another_seed_another_noise():
    first, other = (mixture.drawn(mixture.two_points, 1, seed=seed) for seed in (0, 1))
    assert np.abs(first).max() < 0.6
    assert not np.array_equal(first, other)
