"""Guidance is rescaled as in diffusers."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

from ldm.diffusion.denoiser import denoiser, guided
from ldm.diffusion.schedule import to_x0
from tests.test_denoiser import ALPHA, NULL, PAIR, SIGMA, TEXT, TIMES, X, toy


@pytest.mark.parametrize("predict", ["eps", "v", "x0"])
@pytest.mark.parametrize("rescale", [0.0, 0.4, 1.0])
def test_rescaled_guidance_is_that_of_diffusers(predict, rescale):
    """diffusers rescales what the network predicts, so the same is asked of x0."""
    without, with_text = (torch.from_numpy(np.array(toy(X, TIMES, context))) for context in (NULL, TEXT))
    output = rescale_noise_cfg(without + 5 * (with_text - without), with_text, guidance_rescale=rescale)
    expected = to_x0(predict, X, jnp.asarray(output.numpy()), ALPHA, SIGMA)
    ours = guided(denoiser(toy), NULL, jnp.float32(5), rescale)(X, TIMES, *PAIR[predict], TEXT)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
