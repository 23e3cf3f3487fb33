"""Every building block is that of torch or diffusers, on the shapes that the networks have."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.models.attention import FeedForward as TheirFeedForward
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.resnet import ResnetBlock2D
from flax import nnx
from torch.nn import functional as F

from benchmarks.reference import nchw, nhwc, to_torch
from ldm.networks import layers, time_embedding
from ldm.networks.structure import merge, split
from tests.test_layers import close, draw, keys

torch.set_num_threads(1)


def randomised(module: nnx.Module) -> nnx.Module:
    """The module with every parameter drawn anew, norms' ones and zeros too."""
    structure, params = split(module)
    fresh = {name: jnp.asarray(p + 0.3 * draw(i, *p.shape)) for i, (name, p) in enumerate(params.items())}
    return merge(structure, fresh)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("height, width", [(8, 8), (4, 4), (4, 2), (2, 2), (1, 4), (2, 1), (1, 1), (5, 3)])
def test_convolution_is_that_of_torch_on_every_small_map(height, width, kernel, stride):
    x, w = draw(0, 3, height, width, 6), draw(1, kernel, kernel, 6, 5)
    theirs = F.conv2d(nchw(x), to_torch(w), stride=stride, padding=kernel // 2)
    close(layers.conv2d(jnp.asarray(x), jnp.asarray(w), stride=stride), nhwc(theirs))


@pytest.mark.parametrize("size", [8, 2, 1])
def test_gradients_of_a_convolution_are_those_of_torch(size):
    x, w = draw(0, 3, size, size, 6), draw(1, 3, 3, 6, 5)
    ours = jax.grad(lambda x, w: jnp.sin(layers.conv2d(x, w)).sum(), (0, 1))(jnp.asarray(x), jnp.asarray(w))
    tx, tw = nchw(x).requires_grad_(), to_torch(w).requires_grad_()
    torch.sin(F.conv2d(tx, tw, padding=1)).sum().backward()
    close(ours[0], nhwc(tx.grad))
    close(ours[1], tw.grad.numpy().transpose(2, 3, 1, 0))


@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("width, groups, eps", [(32, 32, 1e-5), (64, 32, 1e-6), (16, 8, 1e-5)])
def test_group_norm_is_that_of_torch(width, groups, eps, offset):
    norm, x = (
        randomised(layers.GroupNorm(width, groups, eps)),
        draw(2, 2, 4, 4, width) + np.float32(offset),
    )
    theirs = F.group_norm(nchw(x), groups, to_torch(norm.weight[...]), to_torch(norm.bias[...]), eps)
    close(norm(jnp.asarray(x)), nhwc(theirs), 1e-5 if not offset else 1e-3)  # float32 at mean 30


def test_layer_norm_is_that_of_torch():
    norm, x = randomised(layers.LayerNorm(24)), draw(2, 2, 5, 24)
    theirs = F.layer_norm(torch.from_numpy(x), (24,), to_torch(norm.weight[...]), to_torch(norm.bias[...]))
    close(norm(jnp.asarray(x)), theirs)


def test_linear_is_that_of_torch_with_and_without_bias():
    x = draw(0, 2, 5, 12)
    for bias in (True, False):
        ours = layers.Linear(12, 7, bias=bias, keys=keys())
        theirs = F.linear(
            torch.from_numpy(x),
            to_torch(ours.weight[...]),
            to_torch(ours.bias[...]) if bias else None,
        )
        close(ours(jnp.asarray(x)), theirs)


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_attention_is_that_of_torch(heads):
    net = randomised(layers.Attention(16, 12, heads, keys=keys()))
    x, context = draw(0, 2, 9, 16), draw(1, 2, 5, 12)
    w = {name: to_torch(p) for name, p in split(net)[1].items()}
    heads_first = lambda y: y.unflatten(-1, (heads, -1)).transpose(1, 2)  # noqa: E731
    q = heads_first(F.linear(torch.from_numpy(x), w["to_q.weight"]))
    k, v = (heads_first(F.linear(torch.from_numpy(context), w[f"to_{n}.weight"])) for n in "kv")
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    theirs = F.linear(y, w["to_out.0.weight"], w["to_out.0.bias"])
    close(net(jnp.asarray(x), jnp.asarray(context)), theirs)


def test_feed_forward_is_that_of_diffusers():
    net, x = randomised(layers.FeedForward(16, keys=keys())), draw(0, 2, 5, 16)
    theirs = TheirFeedForward(16, activation_fn="geglu").eval()
    theirs.load_state_dict({name: to_torch(p) for name, p in split(net)[1].items()})
    close(net(jnp.asarray(x)), theirs(torch.from_numpy(x)).detach())


@pytest.mark.parametrize("outputs", [16, 24])
def test_residual_block_is_that_of_diffusers(outputs):
    net = randomised(layers.ResBlock(16, outputs, 20, 8, keys=keys()))
    x, emb = draw(0, 2, 4, 4, 16), draw(1, 2, 20)
    theirs = ResnetBlock2D(in_channels=16, out_channels=outputs, temb_channels=20, groups=8, eps=1e-5).eval()
    theirs.load_state_dict({name: to_torch(p) for name, p in split(net)[1].items()})
    close(net(jnp.asarray(x), jnp.asarray(emb)), nhwc(theirs(nchw(x), torch.from_numpy(emb))))


@pytest.mark.parametrize("width", [32, 320])
def test_time_embedding_is_that_of_stable_diffusion(width):
    t = np.array([0, 1, 250, 999], np.float32)
    theirs = get_timestep_embedding(torch.from_numpy(t), width, flip_sin_to_cos=True, downscale_freq_shift=0)
    np.testing.assert_allclose(time_embedding.timestep_embedding(jnp.asarray(t), width), theirs, atol=2e-4)


def test_upsampling_repeats_pixels():
    up = layers.Upsample(4, keys=keys())
    x = draw(0, 1, 2, 3, 4)
    theirs = F.conv2d(
        F.interpolate(nchw(x), scale_factor=2.0, mode="nearest"),
        to_torch(up.conv.weight[...]),
        to_torch(up.conv.bias[...]),
        padding=1,
    )
    close(up(jnp.asarray(x)), nhwc(theirs))


def test_asymmetric_downsampling_pads_below_and_to_the_right():
    down = layers.Downsample(4, asymmetric=True, keys=keys())
    x = draw(0, 1, 4, 6, 4)
    theirs = F.conv2d(
        F.pad(nchw(x), (0, 1, 0, 1)),
        to_torch(down.conv.weight[...]),
        to_torch(down.conv.bias[...]),
        stride=2,
    )
    close(down(jnp.asarray(x)), nhwc(theirs))
