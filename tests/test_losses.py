"""The denoising loss against a calculation by hand, in NumPy, of the same draws."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from ldm.diffusion.losses import denoising_errors, diffusion_loss, keys_of_batch
from ldm.diffusion.schedule import Schedule, target
from ldm.networks.structure import split

SD = Schedule.sd()
COUNT, SHAPE = 2000, (2, 2, 4)
LATENTS = jax.random.normal(jax.random.key(0), (COUNT, *SHAPE))
CONTEXT, NULL = jnp.ones((COUNT, 3, 2)), jnp.full((3, 2), -1.0)
KEY = jax.random.key(1)


class Affine(nnx.Module):
    """a x + b mean(context): a network that can be undone."""

    def __init__(self, a: float, b: float):
        self.a, self.b = nnx.Param(jnp.float32(a)), nnx.Param(jnp.float32(b))

    def __call__(self, x, t, context):
        return self.a[...] * x + self.b[...] * context.mean((1, 2))[:, None, None, None]


class Seen(nnx.Module):
    """Answers 0, and keeps what it was asked."""

    asked: dict = {}

    def __call__(self, x, t, context):
        Seen.asked = {"x": np.asarray(x), "t": np.asarray(t), "context": np.asarray(context)}
        return jnp.zeros_like(x)


def evaluate(net: nnx.Module, predict: str = "v", key=KEY, rows=slice(None), schedule=SD, **options):
    structure, params = split(net)
    loss = diffusion_loss(structure, schedule, predict, null=NULL, **options)
    return loss(params, {"latents": LATENTS[rows], "context": CONTEXT[rows]}, key)


def asked(**options) -> dict[str, np.ndarray]:
    """x, t and context as the network saw them, with the noise that must be in x."""
    evaluate(Seen(), **options)
    seen = Seen.asked
    alpha, sigma = (level[seen["t"]][:, None, None, None] for level in (SD.alpha, SD.sigma))
    rows = options.get("rows", slice(None))
    return seen | {"alpha": alpha, "sigma": sigma, "eps": (seen["x"] - alpha * np.asarray(LATENTS)[rows]) / sigma}


@pytest.mark.slow
def test_times_are_uniform_and_noise_is_standard_normal():
    seen = asked()
    assert stats.kstest(seen["t"] / 1000, "uniform").pvalue > 0.01
    assert stats.kstest(seen["eps"].ravel(), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(seen["eps"].reshape(COUNT, -1), rowvar=False) - np.eye(16)).max() < 0.1


@pytest.mark.parametrize("predict", ["eps", "v", "x0"])
def test_the_value_is_the_mean_square_error_of_the_prediction(predict):
    seen = asked(predict=predict)
    answer = 0.7 * seen["x"].astype(np.float64) + 0.1 * seen["context"].mean((1, 2))[:, None, None, None]
    truth = target(predict, np.asarray(LATENTS, np.float64), seen["eps"], seen["alpha"], seen["sigma"])
    squares = np.square(answer - truth).mean((1, 2, 3))
    loss, terms = evaluate(Affine(0.7, 0.1), predict)
    high = seen["t"] >= 500
    assert float(loss) == pytest.approx(squares.mean(), rel=1e-4)
    assert float(terms["loss_low"]) == pytest.approx(squares[~high].mean(), rel=1e-4)
    assert float(terms["loss_high"]) == pytest.approx(squares[high].mean(), rel=1e-4)


def test_a_network_that_answers_nothing_has_the_mean_square_of_the_target():
    """In closed form 1 for eps and, with latents of variance 1, for v: alpha^2 + sigma^2."""
    for predict in ("eps", "v"):
        assert float(evaluate(Affine(0, 0), predict)[0]) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("drop", [0.0, 0.1, 1.0])
def test_captions_are_emptied_at_the_rate_that_was_asked(drop):
    context = asked(drop=drop)["context"]
    emptied = (context == np.asarray(NULL)).all((1, 2))
    assert (emptied | (context == 1).all((1, 2))).all()  # a caption is whole or empty
    assert stats.binomtest(int(emptied.sum()), COUNT, drop).pvalue > 0.01


def test_draws_belong_to_the_key_and_to_the_images_place():
    first, again, other, few = asked(), asked(), asked(key=jax.random.key(2)), asked(rows=slice(5))
    for name in ("x", "t", "context"):
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_array_equal(first[name][:5], few[name])
    assert (first["t"] != other["t"]).mean() > 0.9
    assert len(np.unique(jax.random.key_data(keys_of_batch(KEY, 64)), axis=0)) == 64


@pytest.mark.usefixtures("any_types")
def test_what_cannot_be_learnt_is_refused():
    with pytest.raises(ValueError, match="predict = 'eps': expected v, x0 or flow"):
        evaluate(Affine(1, 0), "eps", schedule=SD.zero_terminal_snr())
    with pytest.raises(ValueError, match="predict = 'score': expected one of"):
        evaluate(Affine(1, 0), "score")
    assert np.isfinite(evaluate(Affine(1, 0), "v", schedule=SD.zero_terminal_snr())[0])


@pytest.mark.parametrize("predict", ["eps", "v", "x0"])
def test_errors_by_noise_level_are_in_one_unit_whatever_is_predicted(predict):
    """By hand: the noise that follows from an output of 0.7 x, against the noise that is in x."""
    structure, params = split(Affine(0.7, 0.0))
    times = np.array([20, 500, 980])
    alphas, sigmas = SD.alpha[times], SD.sigma[times]
    keys = keys_of_batch(jax.random.key(3), 50)
    levels = (jnp.float32(alphas), jnp.float32(sigmas), jnp.int32(times))
    found = denoising_errors(structure, params, *levels, LATENTS[:50], CONTEXT[:50], keys, predict=predict)
    eps = np.stack([jax.random.normal(key, SHAPE) for key in keys]).astype(np.float64)
    for alpha, sigma, errors in zip(alphas, sigmas, np.asarray(found).T, strict=True):
        x = alpha * np.asarray(LATENTS[:50], np.float64) + sigma * eps
        x0 = {"eps": (x - sigma * 0.7 * x) / alpha, "v": alpha * x - sigma * 0.7 * x, "x0": 0.7 * x}[predict]
        np.testing.assert_allclose(errors, np.square((x - alpha * x0) / sigma - eps).mean((1, 2, 3)), rtol=2e-4)


def test_an_image_meets_the_same_noise_whatever_the_batch():
    structure, params = split(Affine(0.3, 0.1))
    levels = (jnp.float32(SD.alpha[[500]]), jnp.float32(SD.sigma[[500]]), jnp.int32([500]))
    keys = keys_of_batch(jax.random.key(3), 8)
    whole = denoising_errors(structure, params, *levels, LATENTS[:8], CONTEXT[:8], keys, predict="v")
    part = denoising_errors(structure, params, *levels, LATENTS[5:8], CONTEXT[5:8], keys[5:8], predict="v")
    np.testing.assert_allclose(whole[5:8], part, rtol=1e-6)
