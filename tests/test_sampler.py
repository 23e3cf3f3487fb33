"""Samplers: tables against diffusers step by step and against mathematics; one compile for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from scipy import optimize, stats

from ldm.layers import Conv, KeySource, Linear, ResBlock, SpatialTransformer, split
from ldm.sampler import Plan, ddim, ddpm, dpmpp_2m, initial_noise, sample
from ldm.schedule import Schedule, to_x0

SD = Schedule.sd()
THEIRS = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}

Network = Callable[[np.ndarray, int], np.ndarray]


def walk(
    plan: Plan,
    network: Network,
    x: np.ndarray,
    predict: str = "eps",
    noise: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """The states after each step of a plan, in plain NumPy: what `sample` does, spelled out."""
    previous = np.zeros_like(x)
    for i in range(int(plan.n)):
        x0 = to_x0(predict, x, network(x, int(plan.t[i])), float(plan.alpha[i]), float(plan.sigma[i]))
        x = float(plan.x[i]) * x + float(plan.x0[i]) * x0 + float(plan.x0_prev[i]) * previous
        if noise is not None:
            x = x + float(plan.z[i]) * noise[i]
        previous = x0
        yield x


def nonlinear(x: np.ndarray, t: int) -> np.ndarray:
    return np.tanh(1.3 * x + 0.2) * (0.3 + t / 1400) + 0.1 * np.sin(3 * x)


def start() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((10, 5))


def their_states(scheduler, steps: int, x: np.ndarray, **options) -> list[np.ndarray]:
    scheduler.set_timesteps(steps)
    state, states = torch.from_numpy(x), []
    for i, t in enumerate(scheduler.timesteps):
        output = torch.from_numpy(nonlinear(state.numpy(), int(t)))
        state = scheduler.step(output, t, state, **{k: v(i) for k, v in options.items()}).prev_sample
        states.append(state.numpy())
    return states


def assert_equal_states(ours: Iterator[np.ndarray], theirs: list[np.ndarray]):
    ours = list(ours)
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        # diffusers keeps its betas in float32, whence the 1e-5
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1, np.abs(b).max()), err_msg=f"after step {i}")


# --- step by step against diffusers -------------------------------------------------------------


# diffusers' DDIM always steps to t - 1000 // n: comparable only where that is the grid.
@pytest.mark.parametrize(
    "spacing, steps",
    [("leading", 4), ("leading", 15), ("leading", 50), ("trailing", 4), ("trailing", 20)],
)
@pytest.mark.parametrize("predict, name", [("eps", "epsilon"), ("v", "v_prediction")])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_visits_the_states_of_diffusers(spacing, steps, predict, name, eta):
    noise = np.random.default_rng(1).standard_normal((steps, 10, 5))
    scheduler = diffusers.DDIMScheduler(
        **THEIRS,
        timestep_spacing=spacing,
        prediction_type=name,
        clip_sample=False,
        set_alpha_to_one=True,
    )
    theirs = their_states(
        scheduler,
        steps,
        start(),
        eta=lambda i: eta,
        variance_noise=lambda i: torch.from_numpy(noise[i]),
    )
    plan = ddim(SD, steps, eta=eta, spacing=spacing)
    assert_equal_states(walk(plan, nonlinear, start(), predict, noise), theirs)


@pytest.mark.parametrize("steps", [4, 10, 50])
def test_ddpm_visits_the_states_of_diffusers(steps):
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(10, 5, generator=generator, dtype=torch.float64) for _ in range(steps)]
    scheduler = diffusers.DDPMScheduler(
        **THEIRS, timestep_spacing="leading", variance_type="fixed_small", clip_sample=False
    )
    generator.manual_seed(0)
    theirs = their_states(scheduler, steps, start(), generator=lambda i: generator)
    plan = ddpm(SD, steps, spacing="leading")
    assert_equal_states(walk(plan, nonlinear, start(), "eps", np.stack(noise)), theirs)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of torch inside diffusers
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 15, 20, 50])
@pytest.mark.parametrize("predict, name", [("eps", "epsilon"), ("v", "v_prediction")])
def test_dpm_solver_visits_the_states_of_diffusers(steps, predict, name):
    betas = {k: v for k, v in THEIRS.items() if k != "steps_offset"}
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **betas, timestep_spacing="trailing", prediction_type=name, final_sigmas_type="zero"
    )
    theirs = their_states(scheduler, steps, start())
    plan = dpmpp_2m(SD, steps, spacing="trailing")
    assert_equal_states(walk(plan, nonlinear, start(), predict), theirs)


# --- against mathematics ------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_ddim_with_full_noise_is_ddpm(steps, spacing):
    a, b = ddim(SD, steps, eta=1.0, spacing=spacing), ddpm(SD, steps, spacing=spacing)
    for column in ("t", "x", "x0", "x0_prev", "z"):
        np.testing.assert_allclose(getattr(a, column), getattr(b, column), atol=1e-6)


@pytest.mark.parametrize("solver", [ddim, ddpm, dpmpp_2m])
@pytest.mark.parametrize("steps", [1, 3, 50])
def test_the_last_step_ends_at_the_estimate_of_x0(solver, steps):
    plan, last = solver(SD, steps), steps - 1
    assert plan.x0[last] == pytest.approx(1)
    assert (plan.x[last], plan.x0_prev[last], plan.z[last]) == pytest.approx((0, 0, 0), abs=1e-7)


@pytest.mark.parametrize("solver", [ddim, ddpm, dpmpp_2m])
def test_a_denoiser_that_knows_x0_is_followed_to_it(solver):
    x0, eps, steps = start(), np.random.default_rng(3).standard_normal((10, 5)), 12
    plan = solver(SD, steps)
    x = SD.alpha[999] * x0 + SD.sigma[999] * eps
    *_, last = walk(plan, lambda x, t: x0, x, "x0", np.zeros((steps, 10, 5)))
    np.testing.assert_allclose(last, x0, atol=1e-6)


WEIGHTS, MEANS, WIDTHS = np.array([0.3, 0.7]), np.array([-1.0, 1.0]), np.array([0.4, 0.3])


def mixture(schedule: Schedule) -> Network:
    """The exact denoiser of a mixture of two Gaussians on the line: E[x0 | x]."""

    def x0(x: np.ndarray, t: int) -> np.ndarray:
        a, s = schedule.alpha[t], schedule.sigma[t]
        variance = a**2 * WIDTHS**2 + s**2
        gap = x[:, None] - a * MEANS
        logits = np.log(WEIGHTS) - 0.5 * np.log(variance) - 0.5 * gap**2 / variance
        share = np.exp(logits - logits.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        return (share * (MEANS + a * WIDTHS**2 / variance * gap)).sum(1)

    return x0


def cdf(x: np.ndarray, alpha: float = 1.0, sigma: float = 0.0) -> np.ndarray:
    scale = np.sqrt(alpha**2 * WIDTHS**2 + sigma**2)
    return (WEIGHTS * stats.norm.cdf((np.asarray(x)[..., None] - alpha * MEANS) / scale)).sum(-1)


def transported(x: np.ndarray, schedule: Schedule) -> np.ndarray:
    """Where the exact flow takes x from the last time to time 0: on a line, quantile to quantile."""
    ends = [(schedule.alpha[t], schedule.sigma[t]) for t in (-1, 0)]

    def quantile(u: float) -> float:
        return optimize.brentq(lambda y: cdf(y, *ends[1]) - u, -9, 9, xtol=1e-13)

    return np.array([quantile(u) for u in cdf(x, *ends[0])])


def uniform_in_log_snr(n: int) -> Schedule:
    """n levels with equal steps of lambda = log(alpha / sigma), between the ends of SD's schedule."""
    ends = np.log(SD.alpha / SD.sigma)[[0, -1]]
    snr = np.exp(2 * np.linspace(*ends, n))
    return Schedule(alpha=np.sqrt(snr / (1 + snr)), sigma=np.sqrt(1 / (1 + snr)))


@pytest.mark.parametrize("solver, order", [(ddim, 1), (dpmpp_2m, 2)])
def test_solvers_converge_to_the_exact_flow_with_their_order(solver, order):
    x, sizes, errors = np.linspace(-2.5, 2.5, 41), (24, 48, 96, 192), []
    for n in sizes:
        schedule = uniform_in_log_snr(n)
        states = list(walk(solver(schedule, n), mixture(schedule), x, "x0"))
        errors.append(np.sqrt(np.mean((states[n - 2] - transported(x, schedule)) ** 2)))  # at time 0
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.2), errors


@pytest.mark.parametrize("steps", [10, 20, 50])
def test_the_second_order_solver_is_the_more_exact_on_the_usual_grid(steps):
    x = np.linspace(-2.5, 2.5, 41)
    end = transported(x, SD)
    first, second = (
        np.square(list(walk(solver(SD, steps), mixture(SD), x, "x0"))[-1] - end).mean() for solver in (ddim, dpmpp_2m)
    )
    assert second < first


def test_samples_of_ddpm_follow_the_data():
    rng, steps, count = np.random.default_rng(4), 500, 4000
    noise = rng.standard_normal((steps, count))
    *_, last = walk(ddpm(SD, steps), mixture(SD), rng.standard_normal(count), "x0", noise)
    assert stats.kstest(last, cdf).pvalue > 0.01
    assert stats.kstest(last, lambda x: cdf(x - 0.1)).pvalue < 0.001  # the test would see a shift


# --- the compiled loop --------------------------------------------------------------------------

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
CONTEXT, NULL = jax.random.normal(jax.random.key(1), (2, 16, 5, 6))
KEYS = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(7), i))(jnp.arange(16))


def run(plan: Plan, rows=slice(None), scale=2.0, predict="v") -> np.ndarray:
    return np.asarray(
        sample(
            STRUCTURE, PARAMS, plan, CONTEXT[rows], NULL[rows], jnp.float32(scale), KEYS[rows],
            predict=predict, shape=SHAPE,
        )
    )  # fmt: skip


def test_solvers_steps_spacings_and_guidance_share_one_compile(compiles_once):
    compiles_once.reset(sample)
    plans = [
        solver(SD, steps, spacing=spacing)
        for solver in (ddim, ddpm, dpmpp_2m)
        for steps in (1, 4, 50)
        for spacing in ("trailing", "leading")
    ]
    images = [run(plan, slice(7), scale) for plan in plans for scale in (1.0, 2.5)]
    assert len({image.tobytes() for image in images}) > len(plans)  # they do differ
    compiles_once(sample)


@pytest.mark.parametrize("solver", [ddim, ddpm, dpmpp_2m])
def test_the_compiled_loop_is_the_spelled_out_one(solver):
    steps, scale, rows = 5, 2.0, slice(7)
    plan = solver(SD, steps)
    network = jax.jit(lambda x, t, context: Toy.__call__(toy, x, t, context))
    toy = nnx.merge(STRUCTURE, nnx.split(Toy(KeySource(jax.random.key(0))))[1])

    def guided(x, t):
        times = jnp.full(7, t, jnp.float32)
        with_text, without = (np.asarray(network(x, times, c[rows])) for c in (CONTEXT, NULL))
        return without + scale * (with_text - without)

    def noise(i):
        return jax.vmap(lambda k: jax.random.normal(jax.random.fold_in(k, i + 1), SHAPE))(KEYS[rows])

    x = np.asarray(initial_noise(KEYS[rows], SHAPE))
    *_, last = walk(plan, guided, x, "v", np.stack([noise(i) for i in range(steps)]))
    np.testing.assert_allclose(run(plan, rows, scale), last, atol=2e-5)


@pytest.mark.parametrize("solver", [ddim, ddpm])
def test_an_image_is_the_same_in_every_batch_and_order(solver):
    plan = solver(SD, 4)
    everyone = run(plan)
    np.testing.assert_allclose(run(plan, slice(7)), everyone[:7], atol=1e-5)
    np.testing.assert_allclose(run(plan, slice(3, 4)), everyone[3:4], atol=1e-5)
    np.testing.assert_allclose(run(plan, slice(None, None, -1)), everyone[::-1], atol=1e-5)


@pytest.mark.parametrize("devices", [2, 8])
def test_an_image_is_the_same_on_any_number_of_devices(devices):
    plan = ddpm(SD, 4)
    spread = NamedSharding(Mesh(jax.devices()[:devices], "b"), PartitionSpec("b"))
    context, null, keys = jax.device_put((CONTEXT, NULL, KEYS), spread)
    images = sample(STRUCTURE, PARAMS, plan, context, null, jnp.float32(2), keys, predict="v", shape=SHAPE)
    assert len(images.sharding.device_set) == devices
    np.testing.assert_allclose(images, run(plan), atol=1e-5)


def test_initial_noise_is_standard_normal_and_belongs_to_its_key():
    noise = np.asarray(initial_noise(KEYS, (32, 32, 4)))
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    np.testing.assert_array_equal(initial_noise(KEYS[5:6], (32, 32, 4))[0], noise[5])
    assert np.abs(np.corrcoef(noise.reshape(16, -1)) - np.eye(16)).max() < 0.1


def test_eta_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="eta = 1.5: expected 0"):
        ddim(SD, 4, eta=1.5)


@pytest.mark.parametrize("solver", [ddim, ddpm, dpmpp_2m])
@pytest.mark.parametrize("steps", [0, -1, 1001, 2.5])
def test_impossible_step_counts_are_refused_before_any_work(solver, steps):
    with pytest.raises(ValueError, match=f"steps = {steps}: expected an integer from 1 to 1000"):
        solver(SD, steps)
