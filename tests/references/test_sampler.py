"""Step by step, a trained UNet is sampled as by diffusers."""

from __future__ import annotations

from dataclasses import replace

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from ldm.diffusion.denoiser import denoiser, guided
from ldm.diffusion.plan import Plan
from ldm.diffusion.sampler import initial_noise
from ldm.diffusion.solvers import ddim, dpmpp_2m, heun
from ldm.networks.structure import merge
from tests.test_sampler import KEYS, LATENT, SD, TOKENS, drawn_by, noise, trained


@pytest.fixture(scope="module")
def network():
    """What the smallest shipped model predicts."""
    structure, params = trained()

    @jax.jit
    def output(params, x, t):
        """What the network predicts under guidance 3, for the first seven images."""
        net = guided(denoiser(merge(structure, params)), TOKENS[1, :7], 3.0)
        return net(x, jnp.full(len(x), t, jnp.float32), 0.0, 1.0, TOKENS[0, :7])

    return lambda x, t: np.array(output(params, np.asarray(x, np.float32), np.float32(t)))


def states(plan: Plan, predict: str) -> list[np.ndarray]:
    """After each row: the plan, ended there."""
    rows = range(1, int(plan.n) + 1)
    return [np.asarray(drawn_by(replace(plan, n=np.int32(n)), *TOKENS[:, :7], KEYS[:7], predict)) for n in rows]


NAMES = {"eps": "epsilon", "v": "v_prediction"}


BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of torch inside diffusers
@pytest.mark.parametrize("predict", ["eps", "v"])
@pytest.mark.parametrize(
    "name, spacing",
    [("ddim", "trailing"), ("ddim", "leading"), ("dpm", "linspace"), ("dpm", "trailing"), ("heun", "leading")],
)
def test_a_unet_visits_the_states_of_diffusers(network, name, spacing, predict):
    common = BETAS | {"prediction_type": NAMES[predict]}
    if name == "ddim":
        plan = ddim(SD, 5, eta=1.0, spacing=spacing)
        theirs = diffusers.DDIMScheduler(**common, timestep_spacing=spacing, steps_offset=1, clip_sample=False)
        theirs.set_timesteps(5)
    else:
        solver, scheduler = {
            "dpm": (dpmpp_2m, diffusers.DPMSolverMultistepScheduler),
            "heun": (heun, diffusers.HeunDiscreteScheduler),
        }[name]
        plan, theirs = solver(SD, 5, spacing=spacing), scheduler(**common)
        theirs.set_timesteps(timesteps=SD.times(5, spacing).tolist())
    # Heun's state there is x / alpha
    scale = np.append(plan.alpha[: int(plan.n)], 1.0) if name == "heun" else np.ones(int(plan.n) + 1)
    x = torch.from_numpy(np.asarray(initial_noise(KEYS[:7], LATENT), np.float64) / scale[0])
    for i, (t, ours) in enumerate(zip(theirs.timesteps, states(plan, predict), strict=True)):
        output = torch.from_numpy(network(theirs.scale_model_input(x, t), t)).double()
        options = {"eta": 1.0, "variance_noise": torch.from_numpy(noise(i, 7, LATENT))} if name == "ddim" else {}
        x = theirs.step(output, t, x, **options).prev_sample
        expected = scale[i + 1] * x.numpy()
        np.testing.assert_allclose(ours, expected, atol=1e-5 * max(1, np.abs(expected).max()), err_msg=f"row {i}")
