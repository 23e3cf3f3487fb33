"""The denoising UNet of Stable Diffusion, of any width (Rombach et al. 2022; the scaled family of Mei et al. 2024).

One number, the base filter count c, sets the size: channels (c, 2c, 4c, 4c), two residual blocks a level,
cross-attention on the first three levels and in the middle. Parameters with text width d:
8202 c^2 + (78 d + 1459) c + 4, which is Table 1 of the paper for d = 1024.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ldm import cost
from ldm.cost import BLOCKS, MULTIPLIERS, groups
from ldm.embeddings import TimeEmbedding
from ldm.layers import Conv, Downsample, GroupNorm, KeySource, ResBlock, SpatialTransformer, Upsample


class Down(nnx.Module):
    """Two residual blocks, each followed by attention (0 heads: none), then half the size (but at the lowest level)."""

    def __init__(self, inputs: int, width: int, c: int, context: int, heads: int, last: bool, *, keys: KeySource):
        block = lambda i: ResBlock(inputs if i == 0 else width, width, 4 * c, groups(c), keys=keys)
        self.resnets = nnx.List([block(i) for i in range(BLOCKS)])
        if heads:
            self.attentions = nnx.List([attention(width, c, context, heads, keys) for _ in range(BLOCKS)])
        if not last:
            self.downsamplers = nnx.List([Downsample(width, keys=keys)])


class Up(nnx.Module):
    """Three residual blocks, each on its input joined to a skip, then twice the size (but at the top)."""

    def __init__(self, joined: list[int], width: int, c: int, context: int, heads: int, last: bool, *, keys: KeySource):
        self.resnets = nnx.List([ResBlock(n, width, 4 * c, groups(c), keys=keys) for n in joined])
        if heads:
            self.attentions = nnx.List([attention(width, c, context, heads, keys) for _ in joined])
        if not last:
            self.upsamplers = nnx.List([Upsample(width, keys=keys)])


class Middle(nnx.Module):
    """Residual block, attention, residual block."""

    def __init__(self, width: int, c: int, context: int, heads: int, *, keys: KeySource):
        self.resnets = nnx.List([ResBlock(width, width, 4 * c, groups(c), keys=keys) for _ in range(2)])
        self.attentions = nnx.List([attention(width, c, context, heads, keys)])


def attention(width: int, c: int, context: int, heads: int, keys: KeySource) -> SpatialTransformer:
    return SpatialTransformer(width, context, heads, groups(c), keys=keys)


class UNet(nnx.Module):
    """The network: noisy latents, times, text -> prediction of the latents' shape (eps, v or x0).

    Args:
        c: base filter count, a multiple of 8.
        context: width of the text embedding.
        latents: channels in and out; `inputs` widens the first convolution (super-resolution).
        heads: attention heads of each level, for Stable Diffusion 2, which has more the wider the level; the
            last is the middle's. Without it, Stable Diffusion 1's eight everywhere (fewer below c = 64).
        guidance: width of the embedding of the guidance scale, which distilled networks take as an input w.
        remat: whether training keeps only what goes in and out of each block, and computes its inside again on the way
            back: about a third more arithmetic, for a fraction of the memory (Chen et al. 2016).
    """

    def __init__(
        self,
        c: int,
        context: int,
        latents: int = 4,
        inputs: int | None = None,
        *,
        heads: tuple[int, ...] = (),
        guidance: int = 0,
        remat: bool = False,
        keys: KeySource,
    ):
        self.remat = remat
        widths = [m * c for m in MULTIPLIERS]
        levels = len(widths)
        heads = heads or (cost.heads(c),) * levels
        self.conv_in = Conv(inputs or latents, c, keys=keys)
        self.time_embedding = TimeEmbedding(c, 4 * c, guidance, keys=keys)

        downs, skips, width = [], [c], c
        for level, outputs in enumerate(widths):
            last = level == levels - 1
            downs.append(Down(width, outputs, c, context, 0 if last else heads[level], last, keys=keys))
            skips += [outputs] * BLOCKS + ([] if last else [outputs])
            width = outputs
        self.down_blocks = nnx.List(downs)
        self.mid_block = Middle(width, c, context, heads[-1], keys=keys)

        ups = []
        for level, outputs in reversed(list(enumerate(widths))):
            joined = []
            for _ in range(BLOCKS + 1):
                joined.append(width + skips.pop())
                width = outputs
            ups.append(Up(joined, outputs, c, context, heads[level] if level < levels - 1 else 0, level == 0, keys=keys))
        self.up_blocks = nnx.List(ups)

        self.conv_norm_out = GroupNorm(c, groups(c))
        self.conv_out = Conv(c, latents, keys=keys)

    def __call__(
        self,
        x: Float[Array, "b h w i"],
        t: Float[Array, " b"],
        context: Float[Array, "b m d"],
        w: Float[Array, " b"] | None = None,
    ) -> Float[Array, "b h w o"]:
        run = jax.checkpoint(lambda block, *args: block(*args)) if self.remat else lambda block, *args: block(*args)
        emb = self.time_embedding(t, w)  # (b, 4c)
        x = self.conv_in(x)  # (b, h, w, c)
        skips = [x]
        for block in self.down_blocks:  # h, h/2, h/4, h/8; c, 2c, 4c, 4c
            for i, resnet in enumerate(block.resnets):
                x = run(resnet, x, emb)
                if hasattr(block, "attentions"):
                    x = run(block.attentions[i], x, context)
                skips.append(x)
            if hasattr(block, "downsamplers"):
                x = block.downsamplers[0](x)
                skips.append(x)

        x = run(self.mid_block.resnets[0], x, emb)  # (b, h/8, w/8, 4c)
        x = run(self.mid_block.attentions[0], x, context)
        x = run(self.mid_block.resnets[1], x, emb)

        for block in self.up_blocks:  # h/8, h/4, h/2, h; 4c, 4c, 2c, c
            for i, resnet in enumerate(block.resnets):
                x = run(resnet, jnp.concatenate([x, skips.pop()], -1), emb)
                if hasattr(block, "attentions"):
                    x = run(block.attentions[i], x, context)
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](x)
        return self.conv_out(jax.nn.silu(self.conv_norm_out(x)))  # (b, h, w, latents)
