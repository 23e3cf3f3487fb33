"""The diffusion transformer: latents as a sequence of patches, each layer modulated by the time (Peebles and Xie 2023).

A layer is self-attention and an MLP, each on a normalised input that the time scales and shifts, and each added through
a gate that the time sets, 0 at first: "adaLN-Zero" (section 3.2, figure 3). Text comes in by cross-attention after
self-attention, as in PixArt-alpha (Chen et al. 2023, section 2.3), and its mean joins the time's embedding.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int, Real

from ldm.networks.dit_config import DiTConfig
from ldm.networks.dit_cost import SINUSOIDS
from ldm.networks.initial import KeySource, normal, uniform
from ldm.networks.layers import Attention, Linear
from ldm.networks.structure import Params, merge, split
from ldm.networks.time_embedding import TimeEmbedding
from ldm.networks.transformer import Embedding, Patches


def positions(rows: int, columns: int, width: int) -> Float[np.ndarray, "n d"]:
    """Return where each patch lies, row by row, float32 (as DiT, after He et al. 2022).

    Sines, then cosines, of its column in the first half of the channels, of its row in the second, at frequencies
    10000^(-i / (width/4)).
    """
    frequencies = 10000.0 ** (-np.arange(width // 4) / (width // 4))
    row, column = np.divmod(np.arange(rows * columns), columns)
    angles = (place[:, None] * frequencies for place in (column, row))
    return np.concatenate([f(angle) for angle in angles for f in (np.sin, np.cos)], -1).astype(np.float32)


def modulated(
    x: Float[Array, "b n d"], shift: Float[Array, "b 1 d"], scale: Float[Array, "b 1 d"]
) -> Float[Array, "b n d"]:
    """Return x, normalised over its channels, times 1 + scale, plus shift; in float32, answered in the type of x."""
    y = x.astype(jnp.float32)
    y = y - y.mean(-1, keepdims=True)
    y = y * lax.rsqrt(jnp.square(y).mean(-1, keepdims=True) + 1e-6)
    return (y * (1 + scale.astype(jnp.float32)) + shift.astype(jnp.float32)).astype(x.dtype)


class Mlp(nnx.Module):
    """Linear, GELU (by tanh), linear."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, keys: KeySource):
        self.linear_1 = Linear(inputs, hidden, keys=keys)
        self.linear_2 = Linear(hidden, outputs, keys=keys)

    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... o"]:
        return self.linear_2(jax.nn.gelu(self.linear_1(x)))


class Block(nnx.Module):
    """One layer: self-attention, cross-attention to the text if there is any, MLP.

    Its six modulations are its own projection of the embedding (adaLN-Zero) or, where the layers share one
    (PixArt-alpha's adaLN-single), that one plus its own table.
    """

    def __init__(self, config: DiTConfig, *, keys: KeySource):
        width = config.width
        if config.single:
            self.scale_shift_table = nnx.Param(jnp.zeros((6, width)))
        else:
            self.adaln = Linear(width, 6 * width, keys=keys)
        self.attn1 = Attention(width, width, config.heads, bias=True, keys=keys)
        if config.context:
            self.attn2 = Attention(width, width, config.heads, bias=True, keys=keys)
        self.ff = Mlp(width, 4 * width, width, keys=keys)

    def __call__(
        self, x: Float[Array, "b n d"], emb: Float[Array, "b e"], context: Float[Array, "b m d"] | None
    ) -> Float[Array, "b n d"]:
        m = self.adaln(emb) if hasattr(self, "adaln") else emb + self.scale_shift_table.reshape(-1)
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = jnp.split(m[:, None], 6, -1)  # (b, 1, d) each
        y = modulated(x, shift, scale)
        x = x + gate * self.attn1(y, y)
        if context is not None:
            x = x + self.attn2(x, context)
        return x + gate_mlp * self.ff(modulated(x, shift_mlp, scale_mlp))


def stacked(build: Callable[[KeySource], nnx.Module], count: int, key: Array) -> nnx.Module:
    """Stack so many modules of one kind as one, whose parameters have an axis more, the first."""
    structure = []

    def one(key: Array) -> Params:
        made, params = split(build(KeySource(key)))
        structure.append(made)
        return params

    params = jax.vmap(one)(jax.random.split(key, count))
    return merge(structure[0], params)


class DiT(nnx.Module):
    """The network: noisy latents, times, text (or labels) -> prediction of the latents' shape (eps, v, x0 or flow).

    Called as `ldm.networks.unet.UNet` is, so samplers, losses and trainings take either.

    Args:
        config: its shape (`dit_config.small`, `published`).
        remat: whether training keeps only what goes in and out of each layer (as of `UNet`).
        scan: whether the layers run as one loop over their stacked parameters, which XLA compiles once, or one after
            another.
    """

    def __init__(self, config: DiTConfig, *, remat: bool = False, scan: bool = True, keys: KeySource):
        self.remat, self.scan, self.patch, self.depth = remat, scan, config.patch, config.depth
        width = config.width
        self.patches = Patches(config.patch, width, bias=True, channels=config.channels_in, keys=keys)
        self.time_embedding = TimeEmbedding(SINUSOIDS, width, config.guidance, config.guidance_frequency, keys=keys)
        if config.classes:
            self.label_embedding = Embedding(config.classes + 1, width, keys=keys)  # the last: no label
        else:
            self.caption_projection = Mlp(config.context, width, width, keys=keys)
        if config.context and not config.single:
            self.pooled_projection = Mlp(config.context, width, width, keys=keys)
        if config.single:
            self.adaln_single = Linear(width, 6 * width, keys=keys)
        self.transformer_blocks = stacked(lambda keys: Block(config, keys=keys), config.depth, keys())
        if config.single:
            self.scale_shift_table = nnx.Param(jnp.zeros((2, width)))
        else:
            self.proj_out_1 = Linear(width, 2 * width, keys=keys)
        self.proj_out = Linear(width, config.patch**2 * config.channels_out, keys=keys)
        initialize(self, keys)

    def __call__(
        self,
        x: Float[Array, "b h w i"],
        t: Real[Array, " b"],
        context: Float[Array, "b m e"] | Int[Array, " b"],
        w: Float[Array, " b"] | None = None,
    ) -> Float[Array, "b h w o"]:
        emb = self.time_embedding(t, w)  # (b, d)
        text = None
        if hasattr(self, "label_embedding"):
            emb = emb + self.label_embedding.weight[context]
        else:
            text = self.caption_projection(context)  # (b, m, d)
        if hasattr(self, "pooled_projection"):
            emb = emb + self.pooled_projection(context.mean(1))

        if any(side % self.patch for side in x.shape[1:3]):
            raise ValueError(f"latents of {x.shape[1:3]}: expected multiples of patch = {self.patch}; crop them.")
        rows, columns = (side // self.patch for side in x.shape[1:3])
        x = self.patches(x)  # (b, n, d), n = rows columns
        x = x + positions(rows, columns, x.shape[-1]).astype(x.dtype)
        said = jax.nn.silu(emb)
        x = self.run(x, self.adaln_single(said) if hasattr(self, "adaln_single") else said, text)
        if hasattr(self, "proj_out_1"):
            shift, scale = jnp.split(self.proj_out_1(said)[:, None], 2, -1)
        else:
            shift, scale = jnp.split(self.scale_shift_table[...] + emb[:, None], 2, 1)
        x = self.proj_out(modulated(x, shift, scale))  # (b, n, patch patch o)
        x = x.reshape(len(x), rows, columns, self.patch, self.patch, -1).swapaxes(2, 3)
        return x.reshape(len(x), rows * self.patch, columns * self.patch, -1)

    def run(self, x: Float[Array, "b n d"], emb: Float[Array, "b e"], text: Array | None) -> Float[Array, "b n d"]:
        """Run the layers, one after another.

        As a loop, six layers of width 96 compile in 1.0 s of one core for drawing and 4.8 s for a gradient, and each
        further layer costs nothing; unrolled in 3.5 s and 7.1 s. Drawing takes equally long either way (28 ms for 16
        pictures); a gradient 193 ms in the loop, which writes what it will need again into arrays of all layers, and
        140 ms unrolled. So the loop is the rule, and a training of few layers unrolls it; the parameters are the same.
        """
        structure, params = split(self.transformer_blocks)
        layer = lambda x, params: merge(structure, params)(x, emb, text)
        layer = jax.checkpoint(layer) if self.remat else layer
        if self.scan:
            return lax.scan(lambda x, params: (layer(x, params), None), x, params)[0]
        for i in range(self.depth):
            x = layer(x, jax.tree.map(lambda p, i=i: p[i], params))
        return x


ZERO = re.compile(r"bias|cond_proj|adaln\.|attn2\.to_out|^proj_out")  # so a layer is the identity, the output 0
NORMAL = re.compile(r"_embedding\.|adaln_single|_projection\.")  # of standard deviation 0.02
TABLE = re.compile(r"table")


def initialize(net: DiT, keys: KeySource) -> None:
    """Draw the weights as DiT and PixArt-alpha do: Xavier's uniform, but for what begins at 0 and the embeddings."""

    def draw(name: str, shape: tuple[int, ...]) -> Array:
        if ZERO.search(name):
            return jnp.zeros(shape)
        if NORMAL.search(name) or TABLE.search(name):
            return normal(keys(), shape, shape[-1] ** -0.5 if TABLE.search(name) else 0.02)
        # a kernel is the matrix of its patch; queries, keys and values of DiT are one matrix
        inputs = int(np.prod(shape[:-1] if name == "patches.weight" else shape[-2:-1]))
        outputs = shape[-1] * (3 if re.search(r"attn1\.to_[qkv]", name) else 1)
        return uniform(keys(), shape, (6 / (inputs + outputs)) ** 0.5)

    for path, param in nnx.to_flat_state(nnx.state(net, nnx.Param)):
        name = ".".join(map(str, path))
        param.set_value(draw(name, param.get_value().shape))
