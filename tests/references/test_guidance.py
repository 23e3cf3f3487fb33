"""Guidance and eight-bit weights as diffusers and torch have them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance

from ldm.diffusion.guidance import combine
from ldm.diffusion.guidance_settings import Guidance, Projection
from ldm.networks.quantization import SCALE, dequantized, quantized


@pytest.mark.parametrize("parallel, norm, momentum", [(0.0, 15.0, -0.5), (0.4, 2.0, -0.75), (1.0, 1.0, 0.0)])
def test_projected_guidance_is_that_of_diffusers_over_several_steps(parallel, norm, momentum):
    rng, buffer = np.random.default_rng(0), MomentumBuffer(momentum)
    guidance, pushed = Guidance(5.0, projection=Projection(parallel, norm, momentum)), jnp.zeros((3, 4, 4, 2))
    for _ in range(4):
        weak, text = rng.standard_normal((2, 3, 4, 4, 2)).astype(np.float32)
        ours, pushed = combine(jnp.asarray(weak), jnp.asarray(text), 0.0, guidance, pushed)
        theirs = normalized_guidance(
            torch.from_numpy(text),
            torch.from_numpy(weak),
            5.0 - 1,
            buffer,
            eta=parallel,
            norm_threshold=norm,
            use_original_formulation=True,
        )
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5)


def test_weights_in_eight_bits_are_rounded_as_by_torch():
    weight = np.random.default_rng(1).standard_normal((3, 3, 5, 7)).astype(np.float32)
    ours = quantized({"a.weight": weight})
    theirs = torch.fake_quantize_per_channel_affine(
        torch.from_numpy(weight),
        torch.from_numpy(ours["a.weight" + SCALE]),
        torch.zeros(7, dtype=torch.int32),
        axis=3,
        quant_min=-127,
        quant_max=127,
    )
    np.testing.assert_allclose(dequantized(ours)["a.weight"], theirs.numpy(), atol=1e-6)
