"""Rectified flow is diffusers': the shifted noise levels, and Euler's steps along a velocity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from ldm.diffusion.schedule import Schedule, to_x0
from ldm.diffusion.solvers import euler
from tests.test_rectified_flow import walk


def velocity(x: np.ndarray, sigma: float) -> np.ndarray:
    """Some network's answer."""
    return np.tanh(x) * (1 + sigma) - 0.3


@pytest.mark.parametrize("steps", [4, 10, 28])
def test_eulers_steps_are_those_of_diffusers(steps):
    """On the grid with both ends, which is theirs."""
    schedule, x = Schedule.straight(), np.linspace(-2, 2, 9)
    theirs = FlowMatchEulerDiscreteScheduler()
    theirs.set_timesteps(steps)
    moved = torch.from_numpy(x)
    for t in theirs.timesteps:
        answer = torch.from_numpy(velocity(moved.numpy(), float(t) / 1000))
        moved = theirs.step(answer, t, moved).prev_sample
    denoise = lambda x, alpha, sigma: to_x0("flow", x, velocity(x, sigma), alpha, sigma)
    ours = walk(euler(schedule, steps, spacing="linspace"), schedule, denoise, x)
    np.testing.assert_allclose(ours, moved.numpy(), atol=1e-5)


@pytest.mark.parametrize("shift", [0.5, 3.0])
def test_shifted_levels_are_those_of_diffusers(shift):
    theirs = FlowMatchEulerDiscreteScheduler(shift=shift)
    theirs.set_timesteps(sigmas=Schedule.straight().sigma[Schedule.straight().times(12)])
    ours = Schedule.straight(shift)
    np.testing.assert_allclose(ours.levels(ours.times(12))[1], theirs.sigmas.numpy()[:-1], atol=1e-6)
