"""The sampling loop: one compile for a sweep, a picture that belongs to its key alone."""

from __future__ import annotations

from functools import cache, partial
from itertools import cycle, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from scipy import stats

from ldm import profiles
from ldm.diffusion.guidance_settings import Guidance
from ldm.diffusion.plan import Plan
from ldm.diffusion.sampler import initial_noise, loop, sample
from ldm.diffusion.solvers import ddim, ddpm, heun
from ldm.networks.initial import KeySource
from ldm.networks.layers import Conv, Linear, ResBlock, SpatialTransformer
from ldm.networks.structure import Params, Structure, merge, split
from ldm.tasks import pretrain
from tests.test_solvers import SOLVERS
from tests.toy import SD, walk

SHAPE = (4, 4, 4)


class Toy(nnx.Module):
    """A network of the UNet's kind of layers: convolutions, norms, self- and cross-attention."""

    def __init__(self, keys: KeySource):
        self.first = Conv(4, 8, keys=keys)
        self.time = Linear(1, 8, keys=keys)
        self.block = ResBlock(8, 8, 8, 4, keys=keys)
        self.look = SpatialTransformer(8, 6, 2, 4, keys=keys)
        self.last = Conv(8, 4, keys=keys)

    def __call__(self, x, t, context):
        y = self.block(self.first(x), self.time(t[:, None] / 1000))
        return self.last(self.look(y, context))


STRUCTURE, PARAMS = split(Toy(KeySource(jax.random.key(0))))
NETWORK = jax.jit(merge(STRUCTURE, PARAMS))
CONTEXT, NULL = jax.random.normal(jax.random.key(1), (2, 64, 5, 6))
KEYS = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(7), i))(jnp.arange(64))


def run(plan: Plan, rows=slice(None), guidance=2.0, predict="v", null=NULL, **options) -> np.ndarray:
    null = null if null is None else null[rows]
    return np.asarray(
        sample(
            STRUCTURE, PARAMS, plan, CONTEXT[rows], null, guidance, KEYS[rows], predict=predict, shape=SHAPE, **options
        )
    )


def noise(row: int, count: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """What the loop adds at a row."""
    return np.array(jax.vmap(lambda k: jax.random.normal(jax.random.fold_in(k, row + 1), shape))(KEYS[:count]))


# --- one compilation ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sweep_compiles_once(compiles_once):
    """8 guidance values x 10 step counts, the solver, spacing, prediction and rescale another each time."""
    compiles_once.reset(loop)
    spacings = ("trailing", "leading", "linspace", "karras", "exponential")
    solvers, others = cycle(SOLVERS), cycle(product(spacings, ("v", "eps", "x0")))
    images, settings = [], set()
    for guidance in (1.0, 1.5, 2, 3.0, np.float32(4), 6.0, jnp.float32(7), 8.0):
        for steps in (1, 2, 3, 4, 5, 8, 10, 16, 20, 32):
            solver, (spacing, predict) = next(solvers), next(others)
            settings.add((solver, spacing, predict))
            plan = solver(SD, steps, spacing=spacing)
            images.append(run(plan, slice(7), Guidance(guidance, (steps % 2) * 0.7), predict))
    assert len(settings) > 50 and len({image.tobytes() for image in images}) == 80  # they do differ
    assert all(np.isfinite(image).all() for image in images)
    compiles_once(loop)


def test_no_guidance_is_guidance_of_scale_1_at_half_the_evaluations(compiles_once):
    plan = ddim(SD, 5)
    compiles_once.reset(loop)
    alone = run(plan, slice(7), 1.0, null=None)
    run(heun(SD, 3), slice(7), 1.0, "eps", null=None)
    compiles_once(loop)
    np.testing.assert_allclose(alone, run(plan, slice(7), 1.0), atol=1e-5)


class Told(nnx.Module):
    """A network that takes the guidance scale as an input."""

    def __init__(self):
        self.a = nnx.Param(jnp.float32(0.3))

    def __call__(self, x, t, context, w):
        return self.a[...] * (x + w[:, None, None, None] * context.mean((1, 2))[:, None, None, None])


def test_a_network_that_takes_guidance_compiles_once_and_is_asked_once_a_step(compiles_once):
    structure, params = split(Told())
    compiles_once.reset(loop)
    draw = partial(sample, structure, params, keys=KEYS[:7], predict="v", shape=SHAPE)
    for steps, guidance in ((1, 1.0), (3, 2.5)):
        plan = ddim(SD, steps)
        ours = draw(plan, CONTEXT[:7], None, guidance, takes_guidance=True)
        text = guidance * np.asarray(CONTEXT[:7], np.float64).mean((1, 2))[:, None, None, None]
        *_, last = walk(
            plan, lambda x, t, text=text: 0.3 * (x + text), np.asarray(initial_noise(KEYS[:7], SHAPE), np.float64), "v"
        )
        np.testing.assert_allclose(ours, last, atol=1e-5)
    compiles_once(loop)
    with pytest.raises(ValueError, match="null is given: expected None for a network that takes guidance"):
        draw(ddim(SD, 2), CONTEXT[:7], NULL[:7], 2.0, takes_guidance=True)


# --- the loop is the table ----------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("predict", ["eps", "v", "x0"])
def test_the_compiled_loop_is_the_spelled_out_one(solver, predict):
    plan, guidance, rows = solver(SD, 5), 2.0, slice(7)

    def guided_output(x, t):
        times = jnp.full(7, t, jnp.float32)
        with_text, without = (np.asarray(NETWORK(x.astype(np.float32), times, c[rows])) for c in (CONTEXT, NULL))
        return without + guidance * (with_text - without)

    x = np.asarray(initial_noise(KEYS[rows], SHAPE), np.float64)
    *_, last = walk(plan, guided_output, x, predict, np.stack([noise(i, 7) for i in range(int(plan.n))]))
    np.testing.assert_allclose(run(plan, rows, guidance, predict), last, atol=2e-5 * max(1, np.abs(last).max()))


# --- a picture belongs to its key ---------------------------------------------------------------


@pytest.mark.parametrize("solver", [ddim, ddpm, heun])
def test_an_image_is_the_same_in_every_batch_and_order(solver):
    plan = solver(SD, 4)
    everyone = run(plan)
    for rows in (slice(7), slice(3, 4), slice(60, 64), slice(None, None, -1)):
        np.testing.assert_allclose(run(plan, rows), everyone[rows], atol=1e-5)


def spread(devices: int, *arrays: jax.Array) -> list[jax.Array]:
    return jax.device_put(list(arrays), NamedSharding(Mesh(jax.devices()[:devices], "b"), PartitionSpec("b")))


@pytest.mark.parametrize(
    "devices", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(8, marks=pytest.mark.slow)]
)
def test_an_image_is_the_same_on_any_number_of_devices(devices):
    plan = ddpm(SD, 4)
    context, null, keys = spread(devices, CONTEXT, NULL, KEYS)
    images = sample(STRUCTURE, PARAMS, plan, context, null, 2.0, keys, predict="v", shape=SHAPE)
    assert len(images.sharding.device_set) == devices
    np.testing.assert_allclose(images, run(plan), atol=1e-5)


def test_initial_noise_is_standard_normal_and_belongs_to_its_key():
    noise = np.asarray(initial_noise(KEYS, (32, 32, 4)))
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    np.testing.assert_array_equal(initial_noise(KEYS[5:6], (32, 32, 4))[0], noise[5])
    assert np.abs(np.corrcoef(noise.reshape(64, -1)) - np.eye(64)).max() < 0.1


# --- a trained UNet -----------------------------------------------------------------------------

LATENT = (8, 8, 4)
TOKENS = jax.random.normal(jax.random.key(2), (2, 64, 24, 128))


@cache
def trained() -> tuple[Structure, Params]:
    """The smallest shipped model, trained least: the blunter it is, the less rounding grows from step to step."""
    return pretrain.load_pretrained(profiles.get("smoke"), 8, 10_000)


def drawn_by(plan: Plan, context: jax.Array, null: jax.Array, keys: jax.Array, predict: str = "v") -> jax.Array:
    """What it draws under guidance 3."""
    return sample(*trained(), plan, context, null, 3.0, keys, predict=predict, shape=LATENT)


@pytest.mark.slow
def test_a_unets_image_is_the_same_in_every_batch_order_and_number_of_devices():
    plan = ddpm(SD, 3)
    everyone = np.asarray(drawn_by(plan, *TOKENS, KEYS))
    close = 1e-5 * np.abs(everyone).max()
    for rows in (slice(7), slice(6, None, -1), slice(5, 6)):
        np.testing.assert_allclose(drawn_by(plan, *TOKENS[:, rows], KEYS[rows]), everyone[rows], atol=close)
    images = drawn_by(plan, *spread(8, *TOKENS, KEYS))
    assert len(images.sharding.device_set) == 8
    np.testing.assert_allclose(images, everyone, atol=close)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_types")
def test_what_cannot_be_sampled_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="predict = 'score': expected one of eps, v, x0"):
        run(ddim(SD, 4), slice(1), predict="score")
    with pytest.raises(ValueError, match="predict = 'eps': expected v, x0 or flow on a schedule that ends in pure"):
        run(ddim(SD.zero_terminal_snr(), 4), slice(1), predict="eps")
    with pytest.raises(ValueError, match="rescale = 1.5: expected 0"):
        run(ddim(SD, 4), slice(1), Guidance(2.0, 1.5))
    for guidance in (np.nan, -np.inf, 1e39):
        with pytest.raises(ValueError, match="guidance = .*: expected a finite number"):
            run(ddim(SD, 4), slice(1), guidance)
    with pytest.raises(ValueError, match="guidance = 2.0: expected 1 where null is None"):
        run(ddim(SD, 4), slice(1), null=None)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_schedule_that_ends_in_pure_noise_is_sampled(solver):
    assert np.isfinite(run(solver(SD.zero_terminal_snr(), 4), slice(7))).all()
