"""The UNet of Stable Diffusion at any width (Rombach et al. 2022): noisy latents, times and text to a prediction."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Real

from ldm.networks import cost
from ldm.networks.cost import FULL, Shape, groups
from ldm.networks.initial import KeySource
from ldm.networks.layers import Conv, Downsample, GroupNorm, ResBlock, SpatialTransformer, Upsample
from ldm.networks.time_embedding import LCM_FREQUENCY, TimeEmbedding

Stage = Callable[[Array, Array, Array], Array]  # (x, emb, context) -> x


class Down(nnx.Module):
    """Residual blocks, each followed by attention (0 heads: none), then half the size (but at the lowest level)."""

    def __init__(self, inputs: list[int], width: int, c: int, context: int, heads: int, last: bool, *, keys: KeySource):
        self.resnets = nnx.List([ResBlock(n, width, 4 * c, groups(c), keys=keys) for n in inputs])
        if heads:
            self.attentions = nnx.List([attention(width, c, context, heads, keys) for _ in inputs])
        if not last:
            self.downsamplers = nnx.List([Downsample(width, keys=keys)])


class Up(nnx.Module):
    """Residual blocks, each on its input joined to a skip, then twice the size (but at the top)."""

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
    """Return the attention of a level of this width, in a UNet of base filter count c."""
    return SpatialTransformer(width, context, heads, groups(c), keys=keys)


class UNet(nnx.Module):
    """The network: noisy latents, times, text -> prediction of the latents' shape (eps, v, x0 or flow).

    Args:
        c: base filter count, a multiple of 8.
        context: width of the text embedding.
        latents: channels in and out; `inputs` widens the first convolution (super-resolution).
        heads: attention heads of each level, for Stable Diffusion 2, which has more the wider the level; the
            last is the middle's. Without it, Stable Diffusion 1's eight everywhere (fewer below c = 64).
        shape: its levels and their blocks, if not Stable Diffusion's four of two blocks (three on the way up).
        guidance: width of the embedding of the guidance scale, which distilled networks take as an input w;
            `guidance_frequency`: how fast its sinusoids turn (`guidance_embedding`).
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
        shape: Shape = FULL,
        heads: tuple[int, ...] = (),
        guidance: int = 0,
        guidance_frequency: float = LCM_FREQUENCY,
        remat: bool = False,
        keys: KeySource,
    ):
        self.remat = remat
        widths = [m * c for m in shape.multipliers]
        levels = len(widths)
        heads = heads or (cost.heads(c),) * levels
        self.conv_in = Conv(inputs or latents, c, keys=keys)
        self.time_embedding = TimeEmbedding(c, 4 * c, guidance, guidance_frequency, keys=keys)

        downs, skips, width = [], [c], c
        for level, outputs in enumerate(widths):
            last = level == levels - 1
            inputs_of = [width] + [outputs] * (shape.blocks - 1)
            downs.append(Down(inputs_of, outputs, c, context, 0 if last else heads[level], last, keys=keys))
            skips += [outputs] * shape.blocks + ([] if last else [outputs])
            width = outputs
        self.down_blocks = nnx.List(downs)
        self.mid_block = Middle(width, c, context, heads[-1], keys=keys)

        ups = []
        for level, outputs in reversed(list(enumerate(widths))):
            joined = []
            for _ in range(shape.blocks + 1):
                joined.append(width + skips.pop())
                width = outputs
            ups.append(
                Up(joined, outputs, c, context, heads[level] if level < levels - 1 else 0, level == 0, keys=keys)
            )
        self.up_blocks = nnx.List(ups)

        self.conv_norm_out = GroupNorm(c, groups(c))
        self.conv_out = Conv(c, latents, keys=keys)

    def __call__(
        self,
        x: Float[Array, "b h w i"],
        t: Real[Array, " b"],
        context: Float[Array, "b m d"],
        w: Float[Array, " b"] | None = None,
    ) -> Float[Array, "b h w o"]:
        return self.whole(x, t, context, w, depth=1)[0]

    def whole(
        self,
        x: Float[Array, "b h w i"],
        t: Real[Array, " b"],
        context: Float[Array, "b m d"],
        w: Float[Array, " b"] | None = None,
        *,
        depth: int,
    ) -> tuple[Float[Array, "b h w o"], Float[Array, "b h2 w2 e"]]:
        """Return the output, and the features that come up from below the first `depth` skip connections, 1 to 11.

        The skip connections are the first convolution's, then two blocks' and a halving's at each level.
        """
        emb = self.time_embedding(t, w)  # (b, 4c)
        skips = []
        for stage in self._down():  # h, h/2, h/4, h/8; c, 2c, 4c, 4c
            x = stage(x, emb, context)
            skips.append(x)

        run = self._run
        x = run(self.mid_block.resnets[0], x, emb)  # (b, h/8, w/8, 4c)
        x = run(self.mid_block.attentions[0], x, context)
        x = run(self.mid_block.resnets[1], x, emb)

        ups = self._up()  # h/8, h/4, h/2, h; 4c, 4c, 2c, c
        deep = x = _joined(ups[: len(ups) - depth], x, skips[depth:], emb, context)
        return self._out(_joined(ups[len(ups) - depth :], x, skips[:depth], emb, context)), deep

    def shallow(
        self,
        x: Float[Array, "b h w i"],
        t: Real[Array, " b"],
        context: Float[Array, "b m d"],
        w: Float[Array, " b"] | None = None,
        *,
        deep: Float[Array, "b h2 w2 e"],
        depth: int,
    ) -> Float[Array, "b h w o"]:
        """Return the output, with the features from below as they were at another time.

        They are those from below the first `depth` skip connections (DeepCache, Ma et al. 2023, section 3.3).
        """
        emb, skips = self.time_embedding(t, w), []
        for stage in self._down()[:depth]:
            x = stage(x, emb, context)
            skips.append(x)
        ups = self._up()
        return self._out(_joined(ups[len(ups) - depth :], deep, skips, emb, context))

    def _run(self, block: nnx.Module, *args: Array) -> Array:
        return jax.checkpoint(lambda block, *args: block(*args))(block, *args) if self.remat else block(*args)

    def _block(self, block: Down | Up, i: int, scaler: nnx.Module | None) -> Stage:
        """Return a residual block, its attention where there is one, and what changes the size after it, if any."""

        def stage(x: Array, emb: Array, context: Array) -> Array:
            x = self._run(block.resnets[i], x, emb)
            if hasattr(block, "attentions"):
                x = self._run(block.attentions[i], x, context)
            return x if scaler is None else scaler(x)

        return stage

    def _down(self) -> list[Stage]:
        """Return what makes the skips, in order: the first convolution, then each level's blocks and what halves it."""
        stages: list[Stage] = [lambda x, emb, context: self.conv_in(x)]  # (b, h, w, c)
        for block in self.down_blocks:
            stages += [self._block(block, i, None) for i in range(len(block.resnets))]
            if hasattr(block, "downsamplers"):
                stages.append(lambda x, emb, context, half=block.downsamplers[0]: half(x))
        return stages

    def _up(self) -> list[Stage]:
        """Return what takes in a skip each, the last skip first; the last of a level also makes twice the size."""
        stages: list[Stage] = []
        for block in self.up_blocks:
            last = len(block.resnets) - 1
            twice = block.upsamplers[0] if hasattr(block, "upsamplers") else None
            stages += [self._block(block, i, twice if i == last else None) for i in range(last + 1)]
        return stages

    def _out(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w o"]:
        return self.conv_out(jax.nn.silu(self.conv_norm_out(x)))  # (b, h, w, latents)


def _joined(stages: list[Stage], x: Array, skips: list[Array], emb: Array, context: Array) -> Array:
    """Run stages of the way up, each on x joined to a skip, the last one first."""
    for stage, skip in zip(stages, reversed(skips), strict=True):
        x = stage(jnp.concatenate([x, skip], -1), emb, context)
    return x
