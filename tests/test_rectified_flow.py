"""Rectified flow in closed form: the straight path, its velocity, the times that are drawn and visited, and solvers."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ldm.diffusion.losses import drawn_time
from ldm.diffusion.schedule import Schedule, preconditioning, target, to_x0
from ldm.diffusion.solvers import dpmpp_2m, euler, heun, plan
from ldm.tasks.distillation.flow import level_grid

STRAIGHT = Schedule.straight()


def walk(table, schedule: Schedule, denoise, x: np.ndarray) -> np.ndarray:
    """The sampler's loop in NumPy, float64 but for the table; denoise: x, alpha, sigma -> x0."""
    previous = np.zeros_like(x)
    for i in range(int(table.n)):
        t = table.t[i]
        x0 = denoise(x, *schedule.levels(t[None]))
        x = table.x[i] * x + table.x0[i] * x0 + table.x0_prev[i] * previous
        previous = x0
    return x


def gaussian(variance: float):
    """The denoiser of data N(0, variance): E[x0 | x] (Karras et al. 2022, app. B, in one dimension)."""
    return lambda x, alpha, sigma: alpha * variance / (alpha**2 * variance + sigma**2) * x


def test_the_path_is_straight_from_data_to_noise():
    np.testing.assert_allclose(STRAIGHT.alpha + STRAIGHT.sigma, 1, atol=1e-15)
    assert STRAIGHT.sigma[0] == 0.001 and STRAIGHT.sigma[-1] == 1 and STRAIGHT.is_straight
    assert not Schedule.sd().is_straight


@pytest.mark.parametrize("schedule", [STRAIGHT, Schedule.sd()], ids=["straight", "sd"])
def test_the_velocity_tells_x0_on_any_schedule(schedule):
    rng = np.random.default_rng(0)
    x0, eps = rng.standard_normal((2, 50))
    for t in (0, 500, 999):
        alpha, sigma = schedule.alpha[t], schedule.sigma[t]
        x = alpha * x0 + sigma * eps
        answer = target("flow", x0, eps, alpha, sigma)
        np.testing.assert_allclose(to_x0("flow", x, answer, alpha, sigma), x0, atol=1e-12)
    assert preconditioning("flow", 1.0, 0.0) == (1, 0)  # a clean x is kept, as consistency models need


def test_the_velocity_is_the_paths_derivative():
    x0, eps = 0.3, -1.2
    steps = np.diff(STRAIGHT.alpha * x0 + STRAIGHT.sigma * eps) / np.diff(STRAIGHT.sigma)
    np.testing.assert_allclose(steps, target("flow", x0, eps, 0.0, 1.0), atol=1e-10)


@pytest.mark.parametrize("solver", [euler, heun, dpmpp_2m])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_where_the_data_is_one_point_every_solver_arrives_there_in_any_number_of_steps(solver, shift):
    schedule, noise = Schedule.straight(shift), np.array([-1.0, 0.5, 2.0])
    for steps in (1, 2, 7):
        arrived = walk(solver(schedule, steps), schedule, lambda x, *_: np.full_like(x, 0.7), noise)
        np.testing.assert_allclose(arrived, 0.7, atol=1e-6)


def test_eulers_row_is_a_step_along_the_velocity():
    table, sigma = euler(STRAIGHT, 8), STRAIGHT.sigma[STRAIGHT.times(8)]
    x, x0 = 1.7, -0.4
    for i in range(8):
        velocity = (x - x0) / sigma[i]
        to = sigma[i + 1] if i < 7 else 0.0
        assert table.x[i] * x + table.x0[i] * x0 == pytest.approx(x + (to - sigma[i]) * velocity, abs=1e-6)


def test_heuns_rows_are_the_mean_of_the_velocities_at_both_ends():
    """Against the rule itself, on data N(0, 0.25)."""
    steps, denoise, x = 6, gaussian(0.25), np.array([1.3])
    sigmas = np.append(STRAIGHT.sigma[STRAIGHT.times(steps)], 0)
    velocity = lambda x, sigma: (x - denoise(x, 1 - sigma, sigma)) / sigma
    wanted = x
    for at, to in zip(sigmas[:-1], sigmas[1:], strict=True):
        there = wanted + (to - at) * velocity(wanted, at)
        wanted = there if to == 0 else wanted + (to - at) / 2 * (velocity(wanted, at) + velocity(there, to))
    np.testing.assert_allclose(walk(heun(STRAIGHT, steps), STRAIGHT, denoise, x), wanted, atol=1e-6)


@pytest.mark.parametrize("solver, order", [(euler, 1), (heun, 2), (dpmpp_2m, 2)])
def test_solvers_converge_at_their_order_where_the_flow_is_known(solver, order):
    """On data N(0, v) the flow takes noise x to x sqrt(v), and an error falls as steps^-order (2M's slower)."""
    variance, fine = 0.25, Schedule.straight(length=100_000)
    error = lambda steps: abs(walk(solver(fine, steps), fine, gaussian(variance), np.array([1.0]))[0] - variance**0.5)
    found = np.log2(error(80) / error(160))
    assert found == pytest.approx(order, abs=0.35)


def test_a_shift_moves_times_to_the_noise_by_its_formula_and_keeps_the_first():
    for shift in (0.5, 3.0):
        times, moved = STRAIGHT.times(10), Schedule.straight(shift).times(10)
        u = (times + 1) / 1000
        np.testing.assert_allclose((moved + 1) / 1000, shift * u / (1 + (shift - 1) * u), atol=1e-12)
        assert moved[0] == pytest.approx(999) and (np.sign(moved[1:] - times[1:]) == np.sign(shift - 1)).all()
    # shifts compose: as three and two make six
    u = np.linspace(0.01, 1, 9)
    by = lambda s, u: s * u / (1 + (s - 1) * u)
    np.testing.assert_allclose(by(2, by(3, u)), by(6, u))
    levels = Schedule.straight(3.0).levels(Schedule.straight(3.0).times(10))
    np.testing.assert_allclose(levels[0] + levels[1], 1)


def test_drawn_times_are_logit_normal():
    keys = jax.random.split(jax.random.key(0), 20_000)
    t = np.asarray(jax.vmap(partial(drawn_time, length=1000, times="logit-normal"))(keys))
    assert t.min() >= 0 and t.max() <= 999
    logits = np.log((t + 0.5) / (999.5 - t))
    assert logits.mean() == pytest.approx(0, abs=0.03) and logits.std() == pytest.approx(1, abs=0.03)
    middle = np.mean((t >= 333) & (t < 667))
    assert middle == pytest.approx(0.512, abs=0.012)  # of |z| < log 2
    uniform = jax.vmap(partial(drawn_time, length=1000, times="uniform"))(keys[:50])
    np.testing.assert_array_equal(uniform, jax.vmap(lambda key: jax.random.randint(key, (), 0, 1000))(keys[:50]))


def test_students_begin_where_the_path_is_clean():
    level = level_grid(STRAIGHT, "flow")(jnp.array([0, 4]), 4)
    np.testing.assert_allclose(np.ravel(level.sigma), [1, 0])
    np.testing.assert_allclose([np.ravel(level.c_skip), np.ravel(level.c_out)], [[1, 1], [-1, 0]], atol=1e-7)


@pytest.mark.usefixtures("any_types")
def test_plans_are_named_and_wrong_paths_refused_in_one_sentence():
    np.testing.assert_array_equal(plan("heun", 5, "trailing", "straight", 3.0).x, heun(Schedule.straight(3.0), 5).x)
    for noise, shift, says in (("bent", 1.0, "noise = 'bent'"), ("straight", -1.0, "shift = -1.0")):
        with pytest.raises(ValueError, match=says) as caught:
            Schedule.named(noise, shift)
        assert "\n" not in str(caught.value)
