"""Guidance by interval, by a weaker network and by other rules: against its spelled-out form, and what it costs."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ldm.diffusion.counting import passes
from ldm.diffusion.guidance import combine, pair
from ldm.diffusion.guidance_settings import Guidance, Projection, as_guidance
from ldm.diffusion.plan import Plan
from ldm.diffusion.sampler import initial_noise, loop, sample
from ldm.diffusion.schedule import to_eps, to_x0
from ldm.diffusion.solvers import ddim, ddpm, dpmpp_2m, heun, unipc
from ldm.networks.structure import split
from tests.toy import SD

SHAPE, B = (2, 2, 3), 5


class Toy(nnx.Module):
    """A nonlinear function of all inputs, each image by itself."""

    def __init__(self, a: float):
        self.a = nnx.Param(jnp.float32(a))

    def __call__(self, x, t, context):
        return jnp.tanh(self.a[...] * x + context.mean((1, 2))[:, None, None, None]) + t[:, None, None, None] / 2000


STRONG, WEAK = split(Toy(0.7)), split(Toy(0.3))
CONTEXT, NULL = jax.random.normal(jax.random.key(1), (2, B, 4, 6))
KEYS = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(7), i))(jnp.arange(B))


def draw(plan: Plan, guidance: Guidance | float, rows=slice(None), null=NULL, guide=None) -> np.ndarray:
    null = None if null is None else null[rows]
    given = (CONTEXT[rows], null, guidance, KEYS[rows])
    return np.asarray(sample(*STRONG, plan, *given, predict="v", shape=SHAPE, guide=guide))


def estimate(network, x: np.ndarray, plan: Plan, i: int, context: jax.Array) -> np.ndarray:
    """x0 by one network, in float64 but for its own arithmetic."""
    a = float(network[1]["a"])
    text = np.asarray(context, np.float64).mean((1, 2))[:, None, None, None]
    output = np.tanh(a * x + text) + float(plan.t[i]) / 2000
    return to_x0("v", x, output, float(plan.alpha[i]), float(plan.sigma[i]))


def walked(plan: Plan, step: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """A deterministic plan, spelled out; step(x, i) -> x0."""
    x = np.asarray(initial_noise(KEYS, SHAPE), np.float64)
    previous = before = np.zeros_like(x)
    for i in range(int(plan.n)):
        x0 = step(x, i)
        x = plan.x[i] * x + plan.x0[i] * x0 + plan.x0_prev[i] * previous + plan.x0_prev2[i] * before
        previous, before = x0, previous
    return x


# --- an interval of noise levels ----------------------------------------------------------------


@pytest.mark.parametrize("interval", [(0.5, 3.0), (0.0, 1.0), (2.0, np.inf), (0.0, np.inf), (100.0, 200.0)])
@pytest.mark.parametrize("solver", [heun, unipc])
def test_guidance_in_an_interval_is_guidance_there_and_none_elsewhere(interval, solver):
    plan = solver(SD, 6)
    low, high = interval
    asked = []

    def step(x, i):
        text = estimate(STRONG, x, plan, i, CONTEXT)
        asked.append(1)
        if low <= plan.sigma[i] / plan.alpha[i] <= high:
            asked.append(1)
            weak = estimate(STRONG, x, plan, i, NULL)
            return weak + 3 * (text - weak)
        return text

    expected = walked(plan, step)
    guidance = Guidance(3.0, interval=interval)
    np.testing.assert_allclose(draw(plan, guidance), expected, atol=2e-5 * np.abs(expected).max())
    assert passes(plan, guidance, null=True).nfe == len(asked)


def test_a_sweep_over_intervals_rules_and_solvers_compiles_once(compiles_once):
    compiles_once.reset(loop)
    found = set()
    for low, scale, rescale, renoise in ((0.0, 2.0, 0.0, 0.0), (0.5, 3.0, 0.7, 0.0), (1.0, 0.6, 0.0, 1.0)):
        for plan in (ddim(SD, 3), unipc(SD, 5, spacing="karras")):
            found.add(draw(plan, Guidance(scale, rescale, (low, 5.0), renoise=renoise)).tobytes())
    assert len(found) == 6
    compiles_once(loop)


@pytest.mark.parametrize(
    "guidance",
    [Guidance(3.0, interval=(0.5, 3.0)), Guidance(4.0, projection=Projection(norm=1.0)), Guidance(0.6, renoise=1.0)],
)
def test_an_image_is_the_same_in_every_batch_under_every_rule(guidance):
    plan = ddpm(SD, 4)
    everyone = draw(plan, guidance)
    np.testing.assert_allclose(draw(plan, guidance, slice(None, None, -1)), everyone[::-1], atol=1e-6)
    np.testing.assert_allclose(draw(plan, guidance, slice(3, 4)), everyone[3:4], atol=1e-6)


# --- another network guides ---------------------------------------------------------------------


@pytest.mark.parametrize("null", [None, NULL])
def test_a_weaker_network_guides_with_the_same_text_or_without_it(null):
    plan = dpmpp_2m(SD, 5)

    def step(x, i):
        weak = estimate(WEAK, x, plan, i, CONTEXT if null is None else null)
        return weak + 2.5 * (estimate(STRONG, x, plan, i, CONTEXT) - weak)

    np.testing.assert_allclose(draw(plan, 2.5, null=null, guide=WEAK), walked(plan, step), atol=1e-4)
    found = passes(plan, 2.5, null=null is not None, guide=True)
    assert (found.whole, found.guide, found.nfe) == ((5,), 5, 10)


def test_a_network_that_guides_itself_changes_nothing():
    plan = ddim(SD, 4)
    np.testing.assert_allclose(draw(plan, 3.0, null=None, guide=STRONG), draw(plan, 1.0, null=None), atol=1e-5)
    np.testing.assert_allclose(draw(plan, 3.0, guide=STRONG), draw(plan, 3.0), atol=1e-5)


def test_an_interval_saves_the_passes_of_the_network_that_guides():
    plan, guidance = ddim(SD, 10), Guidance(2.0, interval=(0.5, 3.0))
    inside = int(((plan.sigma / plan.alpha)[:10] >= 0.5).sum() - ((plan.sigma / plan.alpha)[:10] > 3.0).sum())
    found = passes(plan, guidance, guide=True)
    assert 0 < inside < 10 and (found.whole, found.guide) == ((10,), inside)


# --- a negative prompt --------------------------------------------------------------------------


def test_guidance_away_from_a_prompt_towards_itself_is_none():
    plan = ddim(SD, 4)
    np.testing.assert_allclose(draw(plan, 5.0, null=CONTEXT), draw(plan, 1.0, null=None), atol=1e-5)
    assert np.abs(draw(plan, 5.0, null=-CONTEXT) - draw(plan, 5.0)).max() > 0.1


# --- CFG++ --------------------------------------------------------------------------------------


def test_cfg_plus_plus_keeps_the_noise_of_the_estimate_without_text():
    """Chung et al. 2024, algorithm 2: DDIM to alpha' x0_guided + sigma' eps_null."""
    plan, x = ddim(SD, 6), np.asarray(initial_noise(KEYS, SHAPE), np.float64)
    ends = [*zip(plan.alpha[1:6], plan.sigma[1:6], strict=True), (1.0, 0.0)]
    for i, (alpha, sigma) in enumerate(ends):
        weak, text = (estimate(STRONG, x, plan, i, context) for context in (NULL, CONTEXT))
        eps = to_eps(x, weak, float(plan.alpha[i]), float(plan.sigma[i]))
        x = alpha * (weak + 0.6 * (text - weak)) + sigma * eps
    np.testing.assert_allclose(draw(plan, Guidance(0.6, renoise=1.0)), x, atol=2e-5)


def test_cfg_plus_plus_at_scale_0_is_the_model_without_text():
    plan = unipc(SD, 5)
    alone = walked(plan, lambda x, i: estimate(STRONG, x, plan, i, NULL))
    np.testing.assert_allclose(draw(plan, Guidance(0.0, renoise=1.0)), alone, atol=2e-5 * np.abs(alone).max())


# --- adaptive projected guidance ----------------------------------------------------------------


def estimates(seed: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), (2, 3, 4, 4, 2))


def test_a_projection_that_leaves_everything_is_plain_guidance():
    weak, text = estimates(0)
    everything = Projection(parallel=1.0, norm=np.inf, momentum=0.0)
    plain, _ = combine(weak, text, 0.0, Guidance(4.0, 0.3))
    ours, _ = combine(weak, text, 0.0, Guidance(4.0, 0.3, projection=everything), jnp.zeros_like(weak))
    np.testing.assert_allclose(ours, plain, atol=1e-5)


def test_the_first_push_of_a_projection_has_none_before_it():
    weak, text = estimates(0)
    how = Guidance(4.0, projection=Projection(momentum=-0.5))
    first, pushed = combine(weak, text, 0.0, how)
    np.testing.assert_array_equal(first, combine(weak, text, 0.0, how, jnp.zeros_like(weak))[0])
    np.testing.assert_array_equal(pushed, text - weak)


def test_guidance_away_from_nothing_is_refused():
    zeros = jnp.zeros((1, 4, 4, 2))
    with pytest.raises(ValueError, match="null and guide are None: expected one of them"):
        pair(lambda *ask: zeros, None)(zeros, jnp.zeros(1), 0.0, 1.0, jnp.zeros((1, 2, 3)))


def test_a_projected_push_is_orthogonal_to_the_estimate_and_no_longer_than_its_norm():
    weak, text = estimates(1)
    x0, _ = combine(weak, text, 0.0, Guidance(4.0, projection=Projection(0.0, 2.0, 0.0)), jnp.zeros_like(weak))
    push = np.asarray(x0 - text).reshape(3, -1)
    np.testing.assert_allclose((push * np.asarray(text).reshape(3, -1)).sum(1), 0, atol=1e-4)
    assert (np.linalg.norm(push, axis=1) <= 3 * 2.0 + 1e-5).all()


def test_the_momentum_of_pushes_is_carried_from_row_to_row():
    plan, projection = ddim(SD, 5), Projection(parallel=0.3, norm=1.5, momentum=-0.5)
    sums = [np.zeros((B, *SHAPE))]

    def step(x, i):
        weak, text = (estimate(STRONG, x, plan, i, context) for context in (NULL, CONTEXT))
        sums.append(text - weak - 0.5 * sums[-1])
        norm = lambda y: np.sqrt((y**2).sum((1, 2, 3)))
        shown = lambda y: y[:, None, None, None]
        push = sums[-1] * shown(np.minimum(1, 1.5 / norm(sums[-1])))
        along = text / shown(norm(text))
        parallel = shown((push * along).sum((1, 2, 3))) * along
        return text + 3 * (push - parallel + 0.3 * parallel)

    expected = walked(plan, step)
    np.testing.assert_allclose(draw(plan, Guidance(4.0, projection=projection)), expected, atol=5e-5)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong, what",
    [
        (Guidance(np.nan), "guidance = nan: expected a finite number"),
        (Guidance(2.0, 1.5), "rescale = 1.5: expected 0"),
        (Guidance(2.0, renoise=-0.1), "renoise = -0.1: expected 0"),
        (Guidance(2.0, interval=(3.0, 1.0)), "interval = .*: expected two noise levels"),
        (Guidance(2.0, interval=(np.nan, 1.0)), "interval = .*: expected two noise levels"),
        (Guidance(2.0, projection=Projection(norm=0.0)), "projection = .*: expected a norm above 0"),
        (Guidance(2.0, projection=Projection(momentum=np.inf)), "projection = .*: expected a norm above 0"),
    ],
)
def test_impossible_guidance_is_refused_in_one_sentence(wrong, what):
    with pytest.raises(ValueError, match=what):
        as_guidance(wrong)
