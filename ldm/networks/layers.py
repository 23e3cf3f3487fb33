"""The building blocks of the networks: convolution, normalisation, attention, residual block.

Attributes are named as in the `diffusers` layout, so a weight's path here is its path there. Arrays are
NHWC, kernels HWIO (diffusers: NCHW, OIHW). Modules are plain pytrees without mutable state. A layer computes in the
type of its weights; norms and the softmax compute in float32 and answer in the type of what they are given.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from ldm.networks.initial import KeySource, torch_default

AnyArray = Array | np.ndarray  # of NumPy: as read from a file, and outside of compiled functions


def matmul(x: Float[AnyArray, "... i"], weight: Float[AnyArray, "i o"]) -> Float[Array, "... o"]:
    """Multiply x W as a product of two matrices: XLA's CPU gradient of W is up to ten times faster so."""
    x = x.astype(weight.dtype)
    return jnp.matmul(x.reshape(-1, x.shape[-1]), weight).reshape(*x.shape[:-1], -1)


def conv2d(
    x: Float[AnyArray, "b h w i"], kernel: Float[AnyArray, "k k i o"], *, stride: int = 1, gathered: bool = False
) -> Array:
    """Apply a k x k convolution, zero padding k // 2 on each side.

    On maps of at most four pixels (the UNet's lowest levels on 8x8 latents) XLA's CPU convolution is
    20 times slower than a matrix product over the gathered taps, and most taps see only padding: those
    are not computed at all. `gathered`: so on larger maps, too.
    """
    k, pad = kernel.shape[0], kernel.shape[0] // 2
    x, kernel = jnp.asarray(x, kernel.dtype), jnp.asarray(kernel)
    if k > 1 and x.shape[1] * x.shape[2] > 4 and not gathered:
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    if k == 1 and stride == 1:
        return matmul(x, kernel[0, 0])
    return gathered_conv2d(x, kernel, stride=stride, padding=(pad, pad))


def gathered_conv2d(
    x: Float[AnyArray, "b h w i"], kernel: Float[AnyArray, "kh kw i o"], *, stride: int, padding: tuple[int, int]
) -> Array:
    """Apply a kh x kw convolution as one product of matrices, over the taps gathered from the whole map.

    Taps that see only padding are not computed.

    Args:
        padding: zeros above and below, and left and right.
    """
    sizes, sides = x.shape[1:3], kernel.shape[:2]
    rows, cols = ((n + 2 * pad - k) // stride + 1 for n, k, pad in zip(sizes, sides, padding, strict=True))
    ys, xs = (
        [tap for tap in range(k) if any(0 <= at * stride + tap - pad < n for at in range(count))]
        for n, k, pad, count in zip(sizes, sides, padding, (rows, cols), strict=True)
    )
    if any(padding):
        x = jnp.pad(x, ((0, 0), *((pad, pad) for pad in padding), (0, 0)))
    taps = [
        x[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (cols - 1) * stride + 1 : stride] for i in ys for j in xs
    ]
    matrix = kernel[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].reshape(-1, kernel.shape[-1])
    return matmul(jnp.concatenate(taps, -1), matrix)


class Conv(nnx.Module):
    """k x k convolution with bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, keys: KeySource):
        self.stride, self.gathered = stride, False
        fan_in = inputs * kernel**2
        self.weight = nnx.Param(torch_default(keys(), (kernel, kernel, inputs, outputs), fan_in))
        self.bias = nnx.Param(torch_default(keys(), (outputs,), fan_in))

    def __call__(self, x: Float[AnyArray, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        return conv2d(x, self.weight[...], stride=self.stride, gathered=self.gathered) + self.bias[...]


class Linear(nnx.Module):
    """y = x W (+ b)."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, keys: KeySource):
        self.weight = nnx.Param(torch_default(keys(), (inputs, outputs), inputs))
        if bias:
            self.bias = nnx.Param(torch_default(keys(), (outputs,), inputs))

    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... o"]:
        y = matmul(x, self.weight[...])
        return y + self.bias[...] if hasattr(self, "bias") else y


class LayerNorm(nnx.Module):
    """Over the last axis."""

    def __init__(self, width: int, eps: float = 1e-5):
        self.eps = eps
        self.weight = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        y = x.astype(jnp.float32)
        mean = y.mean(-1, keepdims=True)
        var = jnp.square(y - mean).mean(-1, keepdims=True)
        return ((y - mean) * lax.rsqrt(var + self.eps) * self.weight[...] + self.bias[...]).astype(x.dtype)


class GroupNorm(nnx.Module):
    """Over height, width and the channels of a group (Wu and He 2018).

    Written as one affine map a channel, x * a + b, from sums a channel: one pass to reduce, one to apply.
    """

    def __init__(self, width: int, groups: int, eps: float = 1e-5):
        self.groups, self.eps = groups, eps
        self.weight = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        b, c = x.shape[0], x.shape[-1]
        by_group = (b, self.groups, c // self.groups)
        y = x.astype(jnp.float32)
        mean = y.mean((1, 2)).reshape(by_group).mean(-1, keepdims=True)
        square = jnp.square(y).mean((1, 2)).reshape(by_group).mean(-1, keepdims=True)
        inverse = lax.rsqrt(jnp.maximum(square - jnp.square(mean), 0) + self.eps)
        scale = jnp.broadcast_to(inverse, by_group).reshape(b, c) * self.weight[...]
        shift = self.bias[...] - jnp.broadcast_to(mean, by_group).reshape(b, c) * scale
        return (y * scale[:, None, None] + shift[:, None, None]).astype(x.dtype)


class ResBlock(nnx.Module):
    """norm, SiLU, conv; add the time embedding; norm, SiLU, conv; add the input. `time=0`: no embedding."""

    def __init__(self, inputs: int, outputs: int, time: int, groups: int, eps: float = 1e-5, *, keys: KeySource):
        self.norm1 = GroupNorm(inputs, groups, eps)
        self.conv1 = Conv(inputs, outputs, keys=keys)
        if time:
            self.time_emb_proj = Linear(time, outputs, keys=keys)
        self.norm2 = GroupNorm(outputs, groups, eps)
        self.conv2 = Conv(outputs, outputs, keys=keys)
        if inputs != outputs:
            self.conv_shortcut = Conv(inputs, outputs, 1, keys=keys)

    def __call__(self, x: Float[Array, "b h w i"], emb: Float[Array, "b t"] | None = None) -> Float[Array, "b h w o"]:
        h = self.conv1(nnx.silu(self.norm1(x)))
        if emb is not None:
            h = h + self.time_emb_proj(nnx.silu(emb))[:, None, None]
        h = self.conv2(nnx.silu(self.norm2(h)))
        return (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x) + h


def attend(
    q: Float[Array, "b n d"], k: Float[Array, "b m d"], v: Float[Array, "b m d"], heads: int, mask: Array | None = None
) -> Float[Array, "b n d"]:
    """Return softmax(q k' / sqrt(d / heads)) v in each head (Vaswani et al. 2017, eq. 1).

    There is no weight where `mask` is False.

    The softmax divides last, n x d numbers rather than n x m: XLA's CPU code for the plain formula is up to
    20 times slower on the 256 x 256 scores of 16x16 latents.
    """
    split = lambda y: y.reshape(*y.shape[:2], heads, -1).transpose(0, 2, 1, 3)  # (b, heads, n, d / heads)
    q, k, v = split(q), split(k), split(v)
    scores = (q / math.sqrt(q.shape[-1]) @ k.swapaxes(-1, -2)).astype(jnp.float32)
    if mask is not None:
        scores = jnp.where(mask, scores, -1e9)
    weights = jnp.exp(scores - lax.stop_gradient(scores.max(-1, keepdims=True)))
    y = (weights.astype(v.dtype) @ v).astype(jnp.float32) / weights.sum(-1, keepdims=True)
    return y.astype(v.dtype).transpose(0, 2, 1, 3).reshape(y.shape[0], y.shape[2], -1)


class Attention(nnx.Module):
    """Multi-head attention; queries from x, keys and values from the context."""

    def __init__(self, width: int, context: int, heads: int, *, bias: bool = False, keys: KeySource):
        self.heads = heads
        self.to_q = Linear(width, width, bias=bias, keys=keys)
        self.to_k = Linear(context, width, bias=bias, keys=keys)
        self.to_v = Linear(context, width, bias=bias, keys=keys)
        self.to_out = nnx.List([Linear(width, width, keys=keys)])

    def __call__(self, x: Float[Array, "b n d"], context: Float[Array, "b m e"], mask: Array | None = None) -> Array:
        y = attend(self.to_q(x), self.to_k(context), self.to_v(context), self.heads, mask)
        return self.to_out[0](y)


class GEGLU(nnx.Module):
    """Projects to twice the width; one half, through GELU, gates the other (Shazeer 2020)."""

    def __init__(self, width: int, hidden: int, *, keys: KeySource):
        self.proj = Linear(width, 2 * hidden, keys=keys)

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... h"]:
        value, gate = jnp.split(self.proj(x), 2, -1)
        return value * jax.nn.gelu(gate, approximate=False)


class FeedForward(nnx.Module):
    """GEGLU to four times the width, and back."""

    def __init__(self, width: int, *, keys: KeySource):
        self.net = nnx.Dict({"0": GEGLU(width, 4 * width, keys=keys), "2": Linear(4 * width, width, keys=keys)})

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        return self.net["2"](self.net["0"](x))


class TransformerBlock(nnx.Module):
    """Self-attention, cross-attention to the text, feed-forward; each on a normalised input, each added."""

    def __init__(self, width: int, context: int, heads: int, *, keys: KeySource):
        self.norm1, self.attn1 = LayerNorm(width), Attention(width, width, heads, keys=keys)
        self.norm2, self.attn2 = LayerNorm(width), Attention(width, context, heads, keys=keys)
        self.norm3, self.ff = LayerNorm(width), FeedForward(width, keys=keys)

    def __call__(self, x: Float[Array, "b n d"], context: Float[Array, "b m e"]) -> Float[Array, "b n d"]:
        y = self.norm1(x)
        x = x + self.attn1(y, y)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nnx.Module):
    """A transformer block over the pixels of a feature map (Rombach et al. 2022, app. E.2.1)."""

    def __init__(self, width: int, context: int, heads: int, groups: int, *, keys: KeySource):
        self.norm = GroupNorm(width, groups, 1e-6)
        self.proj_in = Conv(width, width, 1, keys=keys)
        self.transformer_blocks = nnx.List([TransformerBlock(width, context, heads, keys=keys)])
        self.proj_out = Conv(width, width, 1, keys=keys)

    def __call__(self, x: Float[Array, "b h w c"], context: Float[Array, "b m e"]) -> Float[Array, "b h w c"]:
        b, h, w, c = x.shape
        y = self.proj_in(self.norm(x)).reshape(b, h * w, c)
        for block in self.transformer_blocks:
            y = block(y, context)
        return x + self.proj_out(y.reshape(b, h, w, c))


class Downsample(nnx.Module):
    """Stride-2 convolution; padding 1 (UNet), or 0 before and 1 after (`asymmetric`, SD's autoencoder)."""

    def __init__(self, width: int, *, asymmetric: bool = False, keys: KeySource):
        self.asymmetric = asymmetric
        self.conv = Conv(width, width, stride=2, keys=keys)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        if not self.asymmetric:
            return self.conv(x)
        y = lax.conv_general_dilated(
            x, self.conv.weight[...], (2, 2), [(0, 1), (0, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y + self.conv.bias[...]


class Upsample(nnx.Module):
    """Nearest neighbour to twice the size, then a convolution."""

    def __init__(self, width: int, *, keys: KeySource):
        self.conv = Conv(width, width, keys=keys)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w c"]:
        return self.conv(x.repeat(2, 1).repeat(2, 2))


def gather_taps(module: nnx.Module) -> nnx.Module:
    """Have all its convolutions computed as matrix products over gathered taps; the module, changed.

    Many networks side by side (`vmap`) are then products of many matrices, where convolutions would become grouped
    ones, for which few devices have fast code.
    """
    for _, part in nnx.iter_modules(module):
        if isinstance(part, Conv):
            part.gathered = True
    return module
