"""A denoiser gives x0 whatever the network predicts, and guidance is the same on x0 as on eps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ldm.diffusion.denoiser import conditioned, denoiser, guided
from ldm.diffusion.schedule import Schedule, preconditioning, target, to_x0

SD = Schedule.sd()
T = 600
ALPHA, SIGMA = (jnp.float32(level[T]) for level in (SD.alpha, SD.sigma))
TIMES = jnp.full(3, T, jnp.float32)


def draw(seed: int, *shape: int):
    return jax.random.normal(jax.random.key(seed), shape)


PAIR = {predict: preconditioning(predict, ALPHA, SIGMA) for predict in ("eps", "v", "x0")}  # c_skip, c_out
X0, EPS = draw(0, 3, 4, 4, 4), draw(1, 3, 4, 4, 4)
X = ALPHA * X0 + SIGMA * EPS
TEXT, NULL = draw(2, 3, 5, 4), draw(3, 3, 5, 4)


def toy(x, t, context):
    """A nonlinear function of all inputs, in place of a network."""
    return jnp.tanh(x * 0.7 + context.mean(1)[:, None, None]) + t[:, None, None, None] / 1000


@pytest.mark.parametrize("predict", ["eps", "v", "x0"])
def test_a_perfect_network_gives_the_clean_latents(predict):
    perfect = lambda x, t, context: target(predict, X0, EPS, ALPHA, SIGMA)  # noqa: E731
    np.testing.assert_allclose(denoiser(perfect)(X, TIMES, *PAIR[predict], TEXT), X0, atol=1e-5)


def test_the_estimate_is_float32_for_a_network_in_half_precision():
    half = lambda x, t, context: toy(x, t, context).astype(jnp.bfloat16)  # noqa: E731
    assert denoiser(half)(X, TIMES, *PAIR["v"], TEXT).dtype == jnp.float32


@pytest.mark.parametrize("guidance", [-1.0, 0.0, 1.0, 1.5, 7.5])
@pytest.mark.parametrize("predict", ["eps", "v", "x0"])
def test_guiding_x0_is_guiding_the_networks_output(predict, guidance):
    outputs = [toy(X, TIMES, context) for context in (NULL, TEXT)]
    expected = to_x0(predict, X, outputs[0] + guidance * (outputs[1] - outputs[0]), ALPHA, SIGMA)
    ours = guided(denoiser(toy), NULL, jnp.float32(guidance))(X, TIMES, *PAIR[predict], TEXT)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_scale_one_is_the_model_without_guidance():
    plain = denoiser(toy)
    np.testing.assert_allclose(
        guided(plain, NULL, jnp.float32(1))(X, TIMES, *PAIR["v"], TEXT),
        plain(X, TIMES, *PAIR["v"], TEXT),
        atol=1e-6,
    )


def test_each_image_may_have_its_own_scale():
    plain = denoiser(toy)
    scales = jnp.array([1.0, 2.0, 4.0])
    together = guided(plain, NULL, scales[:, None, None, None])(X, TIMES, *PAIR["v"], TEXT)
    for i, guidance in enumerate(scales):
        alone = guided(plain, NULL, guidance)(X, TIMES, *PAIR["v"], TEXT)[i]
        np.testing.assert_allclose(together[i], alone, atol=1e-6)


def test_guidance_calls_the_network_once_on_the_doubled_batch():
    batches = []

    def counting(x, t, context):
        batches.append((len(x), len(t), len(context)))
        return toy(x, t, context)

    guided(denoiser(counting), NULL, jnp.float32(3))(X, TIMES, *PAIR["v"], TEXT)
    assert batches == [(6, 6, 6)]


def test_a_network_that_answers_nothing_is_guided_to_nothing():
    """As a fresh network, whose last layer is zero: its spread is no divisor."""
    nothing = guided(denoiser(lambda x, t, context: 0 * x), NULL, jnp.float32(5), 0.7)
    np.testing.assert_allclose(nothing(X, TIMES, *PAIR["v"], TEXT), ALPHA * X, atol=1e-6)


def test_guided_gaussians_match_their_closed_form():
    """Data N(mu, s^2) with text, N(mu', s^2) without: guidance moves x0 by a known amount.

    x0 = mu + g (x - alpha mu), g = alpha s^2 / (alpha^2 s^2 + sigma^2); the estimates differ by
    (1 - alpha g)(mu - mu').
    """
    s2, mean, mean_null, guidance = 0.25, 0.8, -0.3, 3.0
    gain = ALPHA * s2 / (ALPHA**2 * s2 + SIGMA**2)

    def net(x, t, context):
        mu = context[:, 0, 0][:, None, None, None]
        return mu + gain * (x - ALPHA * mu)

    text, null = jnp.full((3, 1, 1), mean), jnp.full((3, 1, 1), mean_null)
    ours = guided(denoiser(net), null, jnp.float32(guidance))(X, TIMES, *PAIR["x0"], text)
    expected = net(X, TIMES, null) + guidance * (1 - ALPHA * gain) * (mean - mean_null)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_a_conditioned_network_sees_each_picture_beside_its_latents_also_under_guidance():
    seen = draw(9, 3, 4, 4, 2)
    beside = lambda x, t, context: toy(x[..., :4], t, context) * (1 + x[..., 4:].mean(-1, keepdims=True))
    alone = lambda x, t, context: toy(x, t, context) * (1 + seen.mean(-1, keepdims=True))
    ask = (X, TIMES, *PAIR["v"], TEXT)
    np.testing.assert_allclose(denoiser(conditioned(beside, seen))(*ask), denoiser(alone)(*ask), atol=1e-6)
    halves = [denoiser(alone)(X, TIMES, *PAIR["v"], context) for context in (NULL, TEXT)]
    both = guided(denoiser(conditioned(beside, seen)), NULL, jnp.float32(3.0))(*ask)
    np.testing.assert_allclose(both, halves[0] + 3 * (halves[1] - halves[0]), atol=1e-5)
