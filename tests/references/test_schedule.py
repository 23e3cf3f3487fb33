"""The noise schedule, its times and its targets are those of diffusers."""

from __future__ import annotations

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch

from ldm.diffusion.schedule import target
from tests.test_schedule import SD, draw

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def test_sd_schedule_is_that_of_diffusers():
    theirs = diffusers.DDIMScheduler(**BETAS).alphas_cumprod.numpy()
    np.testing.assert_allclose(SD.alpha**2, theirs, rtol=1e-5)


def test_the_schedule_that_ends_in_pure_noise_is_that_of_diffusers():
    theirs = diffusers.DDIMScheduler(**BETAS, rescale_betas_zero_snr=True).alphas_cumprod.numpy()
    np.testing.assert_allclose(SD.zero_terminal_snr().alpha ** 2, theirs, atol=1e-6)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("n", [1, 4, 7, 10, 15, 20, 50, 250, 999])
def test_times_are_those_of_diffusers(spacing, n):
    theirs = diffusers.DDIMScheduler(timestep_spacing=spacing, steps_offset=1, **BETAS)
    theirs.set_timesteps(n)
    if (spacing, n) == (
        "linspace",
        1,
    ):  # diffusers starts from the clean end, which samples nothing
        assert SD.times(1, "linspace").tolist() == [999]
    else:
        assert SD.times(n, spacing).tolist() == theirs.timesteps.tolist()


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("n", [1, 7, 50])
@pytest.mark.parametrize("offset", [0, 1, 2])
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of torch inside diffusers
def test_times_with_another_offset_and_without_the_lowest_are_those_of_diffusers_too(spacing, n, offset):
    theirs = diffusers.DPMSolverMultistepScheduler(timestep_spacing=spacing, steps_offset=offset, **BETAS)
    theirs.set_timesteps(n)
    assert replace(SD, offset=offset, spare=1).times(n, spacing).tolist() == theirs.timesteps.tolist()


def test_v_is_that_of_diffusers():
    x0, eps, alpha, sigma, _ = draw(300)
    theirs = diffusers.DDIMScheduler(**BETAS).get_velocity(
        torch.from_numpy(x0), torch.from_numpy(eps), torch.tensor([300] * 3)
    )
    np.testing.assert_allclose(target("v", x0, eps, alpha, sigma), theirs.numpy(), atol=1e-5)
