"""The UNet is diffusers': its output, its gradients, and what it is told of the guidance scale."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
import torch
from diffusers import LatentConsistencyModelPipeline

from benchmarks.reference import nchw, nhwc, to_torch, twin
from ldm.networks.initial import KeySource
from ldm.networks.structure import merge, split
from ldm.networks.time_embedding import guidance_embedding
from ldm.networks.unet import UNet
from tests.test_unet import draw, forward, inputs, network, shapes

torch.set_num_threads(1)


@partial(jax.jit, static_argnums=0)
def forward_and_gradients(structure, params, x, t, context, direction):
    """The output, and the gradients of its inner product with a direction by weights and x."""
    y, pull = jax.vjp(lambda params, x: merge(structure, params)(x, t, context), params, x)
    return y, *pull(direction)


def relative(ours, theirs) -> float:
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def test_output_is_that_of_diffusers_at_64_by_64_with_77_tokens():
    structure, params = network(64, 1024)
    x, t, context = inputs(1, 64, 77, 1024)
    with torch.no_grad():
        theirs = twin(64, 1024, 64, params)(nchw(x), torch.from_numpy(t), torch.from_numpy(context)).sample
    assert relative(forward(structure, params, x, t, context), nhwc(theirs)) < 1e-4


# c = 64 is Stable Diffusion's layout; c = 8 on 8x8 latents has the small family's 2x2 and 1x1 maps
@pytest.mark.parametrize("c, context, size, tokens", [(64, 768, 16, 77), (8, 128, 8, 24)])
def test_output_and_gradients_are_those_of_diffusers(c, context, size, tokens):
    structure, params = network(c, context)
    x, t, text = inputs(2, size, tokens, context)
    direction = draw(3, 2, size, size, 4)
    ours, gradients, by_x = forward_and_gradients(structure, params, x, t, text, direction)

    net, latents = twin(c, context, size, params), nchw(x).requires_grad_()
    theirs = net(latents, torch.from_numpy(t), torch.from_numpy(text)).sample
    (theirs * nchw(direction)).sum().backward()
    assert relative(ours, nhwc(theirs)) < 1e-4
    assert relative(by_x, nhwc(latents.grad)) < 1e-3
    largest = max(float(weight.grad.abs().max()) for weight in net.parameters())
    for name, weight in net.named_parameters():
        ours, theirs = to_torch(gradients[name]).numpy(), weight.grad.numpy()
        allowed = 1e-3 * np.abs(theirs).max() + 1e-7 * largest  # some are zero but for rounding
        assert np.abs(ours - theirs).max() < allowed, name

    # Where the middle is one pixel, attending to itself alone, its queries and keys have no effect.
    attention = "mid_block.attentions.0.transformer_blocks.0.attn1"
    idle = {f"{attention}.{name}.weight" for name in ("to_q", "to_k")} if size == 8 else set()
    assert {name for name, g in gradients.items() if not np.abs(g).max() > 0} == idle


def test_a_network_that_is_told_the_guidance_scale_is_that_of_diffusers():
    """Both embeddings are theirs, as published for LCM; the projection is drawn, for it starts at 0."""
    structure, params = split(UNet(8, 128, guidance=256, keys=KeySource(jax.random.key(0))))
    assert not params["time_embedding.cond_proj.weight"].any()
    params["time_embedding.cond_proj.weight"] = 0.1 * draw(4, 256, 8)
    (x, t, text), w = inputs(2, 8, 24, 128), np.float32([1.5, 7.5])
    embedded = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, torch.from_numpy(w), 256)
    np.testing.assert_allclose(guidance_embedding(w, 256), embedded, atol=2e-3)  # of angles up to 7500
    with torch.no_grad():
        theirs = twin(8, 128, 8, params, time_cond_proj_dim=256)(
            nchw(x), torch.from_numpy(t), torch.from_numpy(text), timestep_cond=embedded
        ).sample
    assert relative(forward(structure, params, x, t, text, w), nhwc(theirs)) < 1e-3


def test_width_768_text_gives_stable_diffusion_1_5():
    _, params = shapes(320, 768)
    assert sum(p.size for p in params.values()) == 859_520_964
    with torch.device("meta"):
        theirs = {name: tuple(p.shape) for name, p in twin(320, 768, 64).state_dict().items()}
    ours = {n: tuple(to_torch(np.empty(p.shape, np.bool_)).shape) for n, p in params.items() if p.size < 1e5}
    assert set(params) == set(theirs)
    assert ours == {name: shape for name, shape in theirs.items() if name in ours}
