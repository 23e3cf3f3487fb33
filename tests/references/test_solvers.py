"""Step by step, every solver visits the states of diffusers' on a toy network."""

from __future__ import annotations

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch

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
    unipc,
)
from tests.test_solvers import SPACINGS, assert_equal_states
from tests.toy import SD, noises, nonlinear, start, walk

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


NAMES = {"eps": "epsilon", "v": "v_prediction"}  # diffusers' for what a network predicts


def their_states(scheduler, x: np.ndarray, times: np.ndarray | None = None, **options) -> list[np.ndarray]:
    """A scheduler's states on the toy network; options are functions of the step's number.

    `times`: those that the network is told, where they are not the scheduler's own.
    """
    state, states = torch.from_numpy(x), []
    for i, t in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(state, t).numpy()
        output = torch.from_numpy(nonlinear(seen, int(t) if times is None else times[i].item()))
        state = scheduler.step(output, t, state, **{k: v(i) for k, v in options.items()}).prev_sample
        states.append(state.numpy())
    return states


# diffusers' DDIM always steps to t - 1000 // n: comparable only where that is the grid. The other grids
# are compared with k-diffusion's, below.
@pytest.mark.parametrize(
    "spacing, steps",
    [("leading", 4), ("leading", 15), ("leading", 50), ("trailing", 4), ("trailing", 20)],
)
@pytest.mark.parametrize("predict", ["eps", "v"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_visits_the_states_of_diffusers(spacing, steps, predict, eta):
    noise = noises(steps)
    scheduler = diffusers.DDIMScheduler(
        **BETAS,
        steps_offset=1,
        timestep_spacing=spacing,
        prediction_type=NAMES[predict],
        clip_sample=False,
        set_alpha_to_one=True,
    )
    scheduler.set_timesteps(steps)
    theirs = their_states(scheduler, start(), eta=lambda i: eta, variance_noise=lambda i: torch.from_numpy(noise[i]))
    plan = ddim(SD, steps, eta=eta, spacing=spacing)
    assert_equal_states(walk(plan, nonlinear, start(), predict, noise), theirs)


# At eta 1 the first direction is the root of a difference that is 0: diffusers' float32 makes 3e-4 of it.
@pytest.mark.parametrize("steps", [4, 20])
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_ddim_visits_the_states_of_diffusers_on_the_schedule_that_ends_in_pure_noise(steps, eta):
    noise = noises(steps)
    scheduler = diffusers.DDIMScheduler(
        **BETAS,
        timestep_spacing="trailing",
        prediction_type="v_prediction",
        clip_sample=False,
        rescale_betas_zero_snr=True,
    )
    scheduler.set_timesteps(steps)
    theirs = their_states(scheduler, start(), eta=lambda i: eta, variance_noise=lambda i: torch.from_numpy(noise[i]))
    plan = ddim(SD.zero_terminal_snr(), steps, eta=eta)
    assert_equal_states(walk(plan, nonlinear, start(), "v", noise), theirs)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("predict", ["eps", "v"])
@pytest.mark.parametrize("steps", [4, 15])
def test_ddpm_visits_the_states_of_diffusers(spacing, steps, predict):
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in range(steps)]
    scheduler = diffusers.DDPMScheduler(
        **BETAS, variance_type="fixed_small", clip_sample=False, prediction_type=NAMES[predict]
    )
    scheduler.set_timesteps(timesteps=SD.times(steps, spacing).tolist())
    generator.manual_seed(0)
    theirs = their_states(scheduler, start(), generator=lambda i: generator)
    plan = ddpm(SD, steps, spacing=spacing)
    assert_equal_states(walk(plan, nonlinear, start(), predict, np.stack(noise)), theirs)


# Some of diffusers' grids for DPM-Solver are not those it has for DDIM under the same name: ours are given.
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of torch inside diffusers
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("predict", ["eps", "v"])
@pytest.mark.parametrize(
    "solver, theirs, options",
    [
        (dpmpp_1, diffusers.DPMSolverMultistepScheduler, {"solver_order": 1}),
        (dpmpp_2m, diffusers.DPMSolverMultistepScheduler, {"solver_order": 2}),
        (dpmpp_3m, diffusers.DPMSolverMultistepScheduler, {"solver_order": 3}),
        (dpmpp_2s, diffusers.DPMSolverSinglestepScheduler, {"solver_order": 2, "lower_order_final": True}),
    ],
)
def test_dpm_solvers_visit_the_states_of_diffusers(solver, theirs, options, steps, spacing, predict):
    scheduler = theirs(**BETAS, **options, prediction_type=NAMES[predict], final_sigmas_type="zero")
    scheduler.set_timesteps(timesteps=SD.times(steps, spacing).tolist())
    plan = solver(SD, steps, spacing=spacing)
    assert_equal_states(walk(plan, nonlinear, start(), predict), their_states(scheduler, start()))


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("predict", ["eps", "v"])
@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize(
    "solver, theirs", [(euler, diffusers.EulerDiscreteScheduler), (heun, diffusers.HeunDiscreteScheduler)]
)
def test_euler_and_heun_visit_the_states_of_diffusers(solver, theirs, steps, spacing, predict):
    """diffusers' state here is y = x / alpha; a row's state is at the level where the next row asks."""
    scheduler = theirs(**BETAS, prediction_type=NAMES[predict])
    scheduler.set_timesteps(timesteps=SD.times(steps, spacing).tolist())
    plan = solver(SD, steps, spacing=spacing)
    scale = np.append(plan.alpha[1 : int(plan.n)], 1.0)
    theirs = their_states(scheduler, start() / plan.alpha[0])
    assert_equal_states(walk(plan, nonlinear, start(), predict), [a * y for a, y in zip(scale, theirs, strict=True)])


@pytest.mark.parametrize("predict", ["eps", "v"])
@pytest.mark.parametrize("steps", [1, 4, 8])
def test_consistency_sampling_visits_the_states_of_diffusers(monkeypatch, predict, steps):
    """Its c_skip is not 0 to the last digit where it asks: 2e-7 at most, at 8 steps."""
    noise = noises(steps)
    scheduler = diffusers.LCMScheduler(**BETAS, prediction_type=NAMES[predict])
    scheduler.set_timesteps(timesteps=SD.times(steps).tolist())
    drawn = iter(noise)
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_lcm.randn_tensor", lambda *_, **__: torch.from_numpy(next(drawn))
    )
    ours = walk(consistency(SD, steps), nonlinear, start(), predict, noise)
    assert_equal_states(ours, their_states(scheduler, start()))


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("predict", ["eps", "v"])
def test_the_noisy_dpm_solver_visits_the_states_of_diffusers(steps, predict):
    noise = noises(steps)
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **BETAS, algorithm_type="sde-dpmsolver++", prediction_type=NAMES[predict], final_sigmas_type="zero"
    )
    scheduler.set_timesteps(timesteps=SD.times(steps).tolist())
    theirs = their_states(scheduler, start(), variance_noise=lambda i: torch.from_numpy(noise[i]))
    assert_equal_states(walk(dpmpp_2m_sde(SD, steps), nonlinear, start(), predict, noise), theirs)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("predict", ["eps", "v"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_unipc_visits_the_states_of_diffusers(steps, predict, spacing):
    """Its grids for leading and linspace have one time more, and leave out the last."""
    scheduler = diffusers.UniPCMultistepScheduler(
        **BETAS, timestep_spacing=spacing, steps_offset=1, prediction_type=NAMES[predict], final_sigmas_type="zero"
    )
    scheduler.set_timesteps(steps)
    plan = unipc(replace(SD, spare=1), steps, spacing=spacing)
    np.testing.assert_array_equal(plan.t[:steps], scheduler.timesteps)
    assert_equal_states(walk(plan, nonlinear, start(), predict), their_states(scheduler, start()))


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("steps", [2, 7, 20])
@pytest.mark.parametrize("spacing", ["karras", "exponential"])
@pytest.mark.parametrize(
    "solver, theirs, options",
    [
        (dpmpp_2m, diffusers.DPMSolverMultistepScheduler, {"solver_order": 2}),
        (dpmpp_3m, diffusers.DPMSolverMultistepScheduler, {"solver_order": 3}),
        (unipc, diffusers.UniPCMultistepScheduler, {}),
    ],
)
def test_on_grids_of_noise_levels_solvers_visit_the_states_of_diffusers(solver, theirs, options, steps, spacing):
    """diffusers rounds the times that it tells the network, and not the levels: here it is told ours."""
    scheduler = theirs(**BETAS, **options, **{f"use_{spacing}_sigmas": True}, final_sigmas_type="zero")
    scheduler.set_timesteps(steps)
    plan = solver(SD, steps, spacing=spacing)
    assert np.abs(plan.t[:steps] - scheduler.timesteps.numpy()).max() <= 1
    theirs = their_states(scheduler, start(), plan.t)
    assert_equal_states(walk(plan, nonlinear, start(), "eps"), theirs)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_shifted_times_are_those_of_diffusers(shift, steps):
    """Of its scheduler for flows, whose times are ours + 1."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=((SD.times(steps) + 1) / 1000).tolist())
    np.testing.assert_allclose(replace(SD, shift=shift).times(steps) + 1, scheduler.timesteps, rtol=1e-5)
