"""Solvers: tables against k-diffusion step by step, and against mathematics; references/ has diffusers'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from safetensors import safe_open
from scipy import optimize, stats

from ldm.diffusion.plan import ROWS, Plan
from ldm.diffusion.schedule import Schedule
from ldm.diffusion.solvers import (
    consistency,
    ddim,
    ddpm,
    dpmpp_1,
    dpmpp_2m,
    dpmpp_2m_sde,
    dpmpp_2s,
    dpmpp_3m,
    euler,
    heun,
    plan,
    unipc,
)
from tests.golden import regenerate as golden
from tests.toy import SD, Network, noises, nonlinear, start, uniform_in_log_snr, walk

SOLVERS = (ddim, ddpm, euler, heun, dpmpp_1, dpmpp_2m, dpmpp_2s, dpmpp_3m, dpmpp_2m_sde, unipc, consistency)
NOISY = (ddpm, dpmpp_2m_sde, consistency)
SPACINGS = ("leading", "trailing", "linspace")


def assert_equal_states(ours: Iterator[np.ndarray] | list[np.ndarray], theirs: list[np.ndarray]):
    ours = list(ours)
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        # diffusers keeps its betas in float32, whence the 1e-5
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1, np.abs(b).max()), err_msg=f"after step {i}")


# --- step by step against k-diffusion -----------------------------------------------------------


@pytest.fixture(scope="module")
def k_diffusion() -> dict[str, np.ndarray]:
    with safe_open(golden.GOLDEN, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


TABLES = {
    "euler": euler,
    "heun": heun,
    "dpmpp_2m": dpmpp_2m,
    "ddim_0.5": lambda *args, **options: ddim(*args, eta=0.5, **options),
    "ddim_1": lambda *args, **options: ddim(*args, eta=1.0, **options),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("spacing", golden.SPACINGS)
@pytest.mark.parametrize("steps", golden.STEPS)
@pytest.mark.parametrize("predict", golden.PREDICTIONS)
def test_solvers_visit_the_states_of_k_diffusion(k_diffusion, name, spacing, steps, predict):
    plan = TABLES[name](SD, steps, spacing=spacing)
    ours = list(walk(plan, nonlinear, start(), predict, noises(int(plan.n))))
    whole = ours[1::2] + ours[-1:] if name == "heun" else ours  # its predictions are not k-diffusion's states
    assert_equal_states(whole, list(k_diffusion[f"{name} {spacing} {steps} {predict}"]))


@pytest.mark.parametrize("predict", golden.PREDICTIONS)
def test_the_singlestep_solver_visits_the_states_of_k_diffusion(k_diffusion, predict):
    """Theirs asks half-way in lambda: so does ours on levels uniform in lambda."""
    schedule = uniform_in_log_snr(golden.MIDPOINTS)
    ours = list(walk(dpmpp_2s(schedule, golden.MIDPOINTS), nonlinear, start(), predict))
    assert_equal_states(ours[1::2] + ours[-1:], list(k_diffusion[f"dpmpp_2s {predict}"]))


# --- against mathematics ------------------------------------------------------------------------


def assert_equal_tables(a: Plan, b: Plan):
    for column in ("t", "x", "x0", "x0_prev", "x0_prev2", "z", "n"):
        np.testing.assert_allclose(getattr(a, column), getattr(b, column), atol=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_ddim_with_full_noise_is_ddpm(steps, spacing):
    assert_equal_tables(ddim(SD, steps, eta=1.0, spacing=spacing), ddpm(SD, steps, spacing=spacing))


@pytest.mark.parametrize("schedule", [SD, SD.zero_terminal_snr()], ids=["sd", "zero_snr"])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_ddim_euler_and_dpm_solver_of_order_1_are_one_table(steps, spacing, schedule):
    plan = ddim(schedule, steps, spacing=spacing)
    assert_equal_tables(euler(schedule, steps, spacing=spacing), plan)
    assert_equal_tables(dpmpp_1(schedule, steps, spacing=spacing), plan)


@pytest.mark.parametrize("schedule", [SD, SD.zero_terminal_snr()], ids=["sd", "zero_snr"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 12])
def test_a_denoiser_that_knows_x0_is_followed_to_it(solver, steps, schedule):
    x0, eps = start(), np.random.default_rng(3).standard_normal((4, 3))
    plan = solver(schedule, steps)
    x = schedule.alpha[999] * x0 + schedule.sigma[999] * eps
    *before, last = walk(plan, lambda x, t: x0, x, "x0", np.zeros((2 * steps, 4, 3)))
    np.testing.assert_allclose(last, x0, atol=1e-6)
    for i, state in enumerate(before):  # on the straight way from noise to x0, except where the noise is fresh
        if solver not in NOISY:
            np.testing.assert_allclose(state, plan.alpha[i + 1] * x0 + plan.sigma[i + 1] * eps, atol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_row_is_an_evaluation_and_empty_rows_change_nothing(solver):
    plan = solver(SD, 10)
    assert plan.n == (19 if solver is heun else 10)
    for column in ("t", "sigma", "x", "x0", "x0_prev", "x0_prev2", "z"):
        assert len(getattr(plan, column)) == ROWS and not getattr(plan, column)[int(plan.n) :].any()
    assert (plan.alpha[int(plan.n) :] == 1).all()


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


def transported(x: np.ndarray, schedule: Schedule, end: tuple[float, float] = (1.0, 0.0)) -> np.ndarray:
    """Where the exact flow takes x from the last time to the levels `end`: on a line, quantile to quantile."""

    def quantile(u: float) -> float:
        return optimize.brentq(lambda y: cdf(y, *end) - u, -9, 9, xtol=1e-13)

    return np.array([quantile(u) for u in cdf(x, schedule.alpha[-1], schedule.sigma[-1])])


def rms(error: np.ndarray) -> float:
    return np.sqrt(np.mean(error**2))


LINE = np.linspace(-2.5, 2.5, 41)


@pytest.mark.parametrize(
    "solver, order", [(ddim, 1), (euler, 1), (dpmpp_1, 1), (dpmpp_2m, 2), (dpmpp_2s, 2), (heun, 2)]
)
def test_solvers_converge_to_the_exact_flow_with_their_order(solver, order):
    """On levels uniform in lambda, down to time 0: before the last row, of order 1, goes to the clean end.

    Odd numbers of levels, so that 2S has only whole steps of order 2.
    """
    sizes, errors = (25, 49, 97, 193), []
    for n in sizes:
        schedule = uniform_in_log_snr(n)
        *_, before, _ = walk(solver(schedule, n), mixture(schedule), LINE, "x0")
        errors.append(rms(before - transported(LINE, schedule, (schedule.alpha[0], schedule.sigma[0]))))
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.2), errors


@pytest.mark.parametrize(
    "solver, order", [(dpmpp_2m, 2), (dpmpp_3m, 2), (partial(dpmpp_3m, exact=True), 3), (unipc, 3)]
)
def test_multistep_solvers_converge_with_their_order_where_their_first_steps_are_small(solver, order):
    """The first steps have nothing to look back at, and are of order 1: lambda is a square here, so they are small.

    What is published as DPM-Solver++(3M) takes half of the curvature, and is of order 2 for all its three estimates.
    Slopes as computed here: 2M 2.05, 3M 1.92, 3M exact 3.12, UniPC 3.12.
    """
    sizes, errors = (49, 97, 193), []
    ends = np.log(SD.alpha / SD.sigma)[[-1, 0]]
    for n in sizes:
        snr = np.exp(2 * (ends[0] + np.diff(ends) * np.linspace(0, 1, n)[::-1] ** 2))
        schedule = Schedule(alpha=np.sqrt(snr / (1 + snr)), sigma=np.sqrt(1 / (1 + snr)))
        *_, before, _ = walk(solver(schedule, n), mixture(schedule), LINE, "x0")
        errors.append(rms(before - transported(LINE, schedule, (schedule.alpha[0], schedule.sigma[0]))))
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.25), errors


def error_at_the_end(solver, evaluations: int) -> float:
    """On the trailing grid of SD's schedule, from the last time to the clean end."""
    plan = solver(SD, (evaluations + 1) // 2 if solver is heun else evaluations)
    assert plan.n == evaluations
    *_, last = walk(plan, mixture(SD), LINE, "x0")
    return rms(last - transported(LINE, SD))


@pytest.mark.parametrize("solver", [dpmpp_2m, dpmpp_2s])
@pytest.mark.parametrize("evaluations", [5, 11, 21, 51])
def test_dpm_solvers_of_order_2_are_more_exact_than_ddim_on_the_usual_grid(solver, evaluations):
    assert error_at_the_end(solver, evaluations) < error_at_the_end(ddim, evaluations)


@pytest.mark.parametrize("solver", [ddim, dpmpp_2m, dpmpp_2s, heun])
def test_on_the_usual_grid_every_solver_is_of_order_1(solver):
    """For the last step is, and it goes from time 1000 / n - 1, where much of the way is left.

    Root mean square errors at 11, 21, 51, 101 evaluations, as computed here: DDIM .144 .091 .047 .027;
    2M .114 .068 .029 .014; 2S .120 .071 .032 .016; Heun .156 .106 .052 .029.
    """
    sizes = (21, 51, 101, 201)
    slope = -np.polyfit(np.log(sizes), np.log([error_at_the_end(solver, n) for n in sizes]), 1)[0]
    assert slope == pytest.approx(0.9, abs=0.15)


@pytest.mark.parametrize("solver, steps", [(ddpm, 500), (dpmpp_2m_sde, 100)])
def test_samples_of_noisy_solvers_follow_the_data(solver, steps):
    rng, count = np.random.default_rng(4), 4000
    noise = rng.standard_normal((steps, count))
    *_, last = walk(solver(SD, steps), mixture(SD), rng.standard_normal(count), "x0", noise)
    parts = rng.choice(2, count, p=WEIGHTS)
    data = rng.normal(MEANS[parts], WIDTHS[parts])
    assert stats.ks_2samp(last, data).pvalue > 0.01
    assert stats.kstest(last, cdf).pvalue > 0.01
    assert stats.ks_2samp(last, data + 0.1).pvalue < 0.001  # the test would see a shift


# --- grids that lie between the training times --------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("spacing", ["karras", "exponential"])
def test_every_solver_takes_the_grids_of_noise_levels(solver, spacing):
    table = solver(SD, 8, spacing=spacing)
    *_, last = walk(table, lambda x, t: start(), start(), "x0", np.zeros((16, 4, 3)))
    np.testing.assert_allclose(last, start(), atol=1e-5)
    assert table.t.dtype == np.float32 and table.t[0] == pytest.approx(999) and table.t[int(table.n) - 1] < 1e-3


def test_a_shift_of_the_schedule_reaches_a_named_plan():
    assert_equal_tables(plan("unipc", 8, "trailing", shift=3.0), unipc(replace(SD, shift=3.0), 8))
    assert_equal_tables(plan("unipc", 8, "trailing", shift=1.0), plan("unipc", 8))


@pytest.mark.parametrize("times", ["karras", "exponential"])
def test_what_follows_a_dash_names_the_times_whatever_the_spacing(times):
    assert_equal_tables(plan(f"dpm++-{times}", 8, "leading"), dpmpp_2m(SD, 8, spacing=times))
    assert_equal_tables(plan("ddim-leading", 8, "trailing"), plan("ddim", 8, "leading"))
    with pytest.raises(ValueError, match="'heun-karras': expected one of"):
        plan("heun-karras", 8)


# --- refusals -----------------------------------------------------------------------------------


def test_eta_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="eta = 1.5: expected 0"):
        ddim(SD, 4, eta=1.5)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [0, -1, 1001, 2.5])
@pytest.mark.usefixtures("any_types")
def test_impossible_step_counts_are_refused_before_any_work(solver, steps):
    with pytest.raises(ValueError, match=f"steps = {steps}: expected an integer from 1 to 1000"):
        solver(SD, steps)


@pytest.mark.parametrize(("solver", "rows"), [(ddim, 2 * ROWS), (dpmpp_2m, 2 * ROWS), (heun, 3 * ROWS)])
def test_a_longer_schedule_takes_more_steps_in_a_longer_table(solver, rows):
    long = Schedule.from_betas(np.linspace(0.0001, 0.003, 4000))
    plan = solver(long, 1500)
    assert plan.n == 1500 * (1 + (solver is heun)) - (solver is heun) and len(plan.x) == rows
    assert heun(SD, 501).n == 1001
