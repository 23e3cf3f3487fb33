"""Deep features kept between rows: the UNet taken apart and put together, the loop, and the FLOPs truly done."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ldm.diffusion.counting import passes
from ldm.diffusion.guidance_settings import Guidance
from ldm.diffusion.sampler import Reuse, loop, sample
from ldm.diffusion.schedule import to_x0
from ldm.diffusion.solvers import ddim, ddpm, heun, unipc
from ldm.networks import cost
from ldm.networks.structure import abstract, merge, split
from ldm.networks.unet import UNet
from tests.test_guidance import CONTEXT, KEYS, NULL, SHAPE, walked
from tests.toy import SD


class Deep(nnx.Module):
    """Of two levels: the deep one sees each image's mean, text and time; the other one adds it to what it sees."""

    def __init__(self):
        self.a = nnx.Param(jnp.float32(0.6))

    def __call__(self, x, t, context):
        return self.whole(x, t, context, depth=1)[0]

    def whole(self, x, t, context, *, depth):
        deep = jnp.sin(3 * x.mean((1, 2, 3)) + context.mean((1, 2)) + t / 300)[:, None, None, None]
        return self.shallow(x, t, context, deep=deep, depth=depth), deep

    def shallow(self, x, t, context, *, deep, depth):
        return jnp.tanh(self.a[...] * x + deep) * (1 + t[:, None, None, None] / 1000)


NETWORK = split(Deep())


def draw(plan, reuse=None, null=NULL, guidance=2.0, rows=slice(None)) -> np.ndarray:
    given = (CONTEXT[rows], None if null is None else null[rows], guidance, KEYS[rows])
    return np.asarray(sample(*NETWORK, plan, *given, predict="v", shape=SHAPE, reuse=reuse))


@pytest.mark.parametrize("solver", [ddpm, heun])
def test_features_that_are_kept_for_one_row_change_nothing(solver):
    """But the last bits: they are two programs, and how a processor contracts products and sums differs by it."""
    np.testing.assert_allclose(draw(solver(SD, 5), Reuse(1)), draw(solver(SD, 5)), rtol=1e-5, atol=1e-6)


def test_features_are_those_of_the_last_whole_pass_and_a_sweep_compiles_once(compiles_once):
    compiles_once.reset(loop)
    for plan, every in ((unipc(SD, 7), 2), (ddim(SD, 8), 3), (ddim(SD, 4), 10)):
        kept = {}

        def step(x, i, plan=plan, every=every, kept=kept):
            alpha, sigma, t = float(plan.alpha[i]), float(plan.sigma[i]), float(plan.t[i])
            outputs = []
            for name, context in (("null", NULL), ("text", CONTEXT)):
                if i % every == 0:
                    text = np.asarray(context, np.float64).mean((1, 2))
                    kept[name] = np.sin(3 * x.mean((1, 2, 3)) + text + t / 300)[:, None, None, None]
                outputs.append(np.tanh(0.6 * x + kept[name]) * (1 + t / 1000))
            weak, text = (to_x0("v", x, output, alpha, sigma) for output in outputs)
            return weak + 2 * (text - weak)

        np.testing.assert_allclose(draw(plan, Reuse(every)), walked(plan, step), atol=1e-4)
    compiles_once(loop)
    assert np.abs(draw(ddim(SD, 8), Reuse(3)) - draw(ddim(SD, 8))).max() > 1e-3


def test_an_image_with_kept_features_is_the_same_in_every_batch():
    plan = ddpm(SD, 6)
    np.testing.assert_allclose(draw(plan, Reuse(3), rows=slice(2, 4)), draw(plan, Reuse(3))[2:4], atol=1e-6)


def test_passes_with_kept_features_are_counted_apart():
    found = passes(ddim(SD, 10), 2.0, null=True, every=3)
    assert (found.whole, found.shallow, found.nfe) == ((8,), 12, 20)
    assert passes(ddim(SD, 10), 2.0, null=True, every=1).shallow == 0


# --- the UNet -----------------------------------------------------------------------------------

INPUTS = jax.random.normal(jax.random.key(0), (2, 8, 8, 4)), jnp.float32([900, 30]), jnp.ones((2, 3, 16))


@pytest.mark.slow
def test_a_unet_with_its_own_deep_features_answers_as_the_whole_one():
    structure, like = abstract(lambda keys: UNet(8, 16, shape=cost.SHORT, keys=keys))
    rng = np.random.default_rng(0)
    params = {name: rng.normal(0, 0.1, a.shape).astype(np.float32) for name, a in like.items()}
    unet = merge(structure, params)
    answer = np.asarray(unet(*INPUTS))
    for depth in (1, 2, 3):
        whole, deep = unet.whole(*INPUTS, depth=depth)
        np.testing.assert_array_equal(whole, answer)
        np.testing.assert_array_equal(unet.shallow(*INPUTS, deep=deep, depth=depth), answer)
        assert (unet.shallow(*INPUTS, deep=0 * deep, depth=depth) != answer).any()


@pytest.mark.parametrize(
    "depth",
    [
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(3, marks=pytest.mark.slow),
        6,
        pytest.param(11, marks=pytest.mark.slow),
    ],
)
def test_the_flops_of_a_shallow_pass_are_xlas(depth):
    """At c = 64 on 32x32 latents: within 2 % of cost_analysis(), as the whole pass is."""
    structure, like = abstract(lambda keys: UNet(64, 128, keys=keys))
    of = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    inputs = of(1, 32, 32, 4), of(1), of(1, 24, 128)

    def whole(params, *inputs):
        return merge(structure, params).whole(*inputs, depth=depth)[1]

    def shallow(params, deep, *inputs):
        return merge(structure, params).shallow(*inputs, deep=deep, depth=depth)

    deep = jax.eval_shape(whole, like, *inputs)
    flops = jax.jit(shallow).lower(like, deep, *inputs).cost_analysis()["flops"]
    assert cost.shallow_gflops(64, depth, 32, 24, 128) == pytest.approx(flops / 1e9, rel=0.02)


def test_a_shallow_pass_costs_more_the_more_skips_it_computes_and_never_the_whole():
    shape = dict(size=8, tokens=24, context=128)
    costs = [cost.shallow_gflops(32, depth, **shape) for depth in range(1, 12)]
    assert (np.diff(costs) > 0).all() and costs[-1] < cost.unet_gflops(32, **shape)


# --- refusals -----------------------------------------------------------------------------------


def test_impossible_reuse_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="interval = .*: expected None with reuse"):
        draw(ddim(SD, 4), Reuse(2), guidance=Guidance(2.0, interval=(0.0, 1.0)))
    for wrong in (Reuse(0), Reuse(2, 0), Reuse(2, 12)):
        with pytest.raises(ValueError, match="reuse = .*: expected every of at least 1 and depth from 1 to 11"):
            draw(ddim(SD, 4), wrong)


def test_features_of_another_network_are_refused():
    class Other(nnx.Module):
        def __init__(self):
            self.a = nnx.Param(jnp.float32(0.6))

        def __call__(self, x, t, context):
            return self.a[...] * x

    with pytest.raises(ValueError, match="reuse is given for a Other; only a UNet's features are kept"):
        sample(*split(Other()), ddim(SD, 4), CONTEXT, NULL, 2.0, KEYS, predict="v", shape=SHAPE, reuse=Reuse(2))
