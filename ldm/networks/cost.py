"""What a model costs: parameters and FLOPs, layer by layer, in the paper's units.

One multiply-add counts as two FLOPs, for one forward pass on one image. A convolution is charged
for the taps that lie inside the map, as XLA's `cost_analysis()` does; norms, activations and
softmax cost a few FLOPs an element, one per cent of the whole at c = 320 but ten at c = 64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple


class Shape(NamedTuple):
    """How a UNet is built, at any width."""

    multipliers: tuple[int, ...]  # channels of its levels, in units of c; the first is 1
    blocks: int  # residual blocks a level on the way down; one more on the way up


FULL = Shape((1, 2, 4, 4), 2)  # Stable Diffusion's
SHORT = Shape((1, 2), 1)  # for smoke and for tests: it compiles in a third of the time
MULTIPLIERS, BLOCKS = FULL
LATENTS = 4  # channels of a latent
REFERENCE = 320  # the paper normalises cost by Stable Diffusion's own width
PASSES = 3  # forward passes that a training step costs: going back takes two products for each on the way there


class Layer(NamedTuple):
    """One layer: where it stands ("down0/res"), what it does ("conv"), parameters, FLOPs."""

    place: str
    kind: str
    params: int
    flops: int


def groups(c: int) -> int:
    """Return groups of a GroupNorm: SD's 32 from c = 64 up, below that two channels a group at least."""
    return max(1, min(32, c // 2))


def heads(c: int) -> int:
    """Return the attention heads: SD's 8 from c = 64 up, below that eight channels a head at the top level."""
    return max(1, min(8, c // 8))


def unet_layers(c: int, size: int = 64, tokens: int = 77, context: int = 1024, shape: Shape = FULL) -> Iterator[Layer]:
    """Yield the SD UNet's layers in the order of its forward pass (Rombach et al. 2022), as `networks/unet.py` runs it.

    Args:
        c: base filter count; the levels have c, 2c, 4c, 4c channels.
        size: height and width of the latents, halved three times (rounding up).
        tokens, context: length and width of the text embedding.
        shape: of another UNet than Stable Diffusion's.
    Raises: ValueError for anything below 1, or a c that is no multiple of 2.
    """
    for stage in unet_stages(c, size, tokens, context, shape):
        yield from stage


def unet_stages(
    c: int, size: int = 64, tokens: int = 77, context: int = 1024, shape: Shape = FULL
) -> Iterator[list[Layer]]:
    """Return the layers of `unet_layers` in stages.

    The time embedding; one for each skip connection, as it is made; the middle; one for each skip connection, as it is
    taken in, the last one first; and the output.
    """
    for name, value in dict(c=c, size=size, tokens=tokens, context=context).items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1.")
    if c % 2:
        raise ValueError(f"c is {c}; the base filter count must be even, for instance {c + 1}.")

    widths = [multiplier * c for multiplier in shape.multipliers]
    lowest = len(widths) - 1
    sizes = [math.ceil(size / 2**level) for level in range(len(widths))]

    yield [dense("time", 1, c, 4 * c), dense("time", 1, 4 * c, 4 * c)]
    yield [_conv("in", size, 3, LATENTS, c)]
    skips, width = [c], c

    def block(place: str, level: int, inputs: int, outputs: int) -> list[Layer]:
        layers = list(_res_block(f"{place}{level}/res", sizes[level], inputs, outputs, 4 * c))
        if level < lowest:
            layers += _transformer(f"{place}{level}/attn", sizes[level], outputs, c, tokens, context)
        return layers

    for level, outputs in enumerate(widths):
        for _ in range(shape.blocks):
            yield block("down", level, width, outputs)
            width = outputs
            skips.append(width)
        if level < lowest:
            yield [_conv(f"down{level}/half", sizes[level + 1], 3, width, width, came_from=sizes[level])]
            skips.append(width)

    middle = list(_res_block("mid/res", sizes[-1], width, width, 4 * c))
    yield [*middle, *_transformer("mid/attn", sizes[-1], width, c, tokens, context), *middle]

    for level in reversed(range(len(widths))):
        for i in range(shape.blocks + 1):
            layers = block("up", level, width + skips.pop(), widths[level])
            width = widths[level]
            if level > 0 and i == shape.blocks:
                layers.append(_conv(f"up{level}/twice", sizes[level - 1], 3, width, width))
            yield layers

    yield [_norm("out", size * size, c), _conv("out", size, 3, c, LATENTS)]


def _conv(place: str, size: int, k: int, inputs: int, outputs: int, *, came_from: int | None = None) -> Layer:
    """Return a k x k convolution onto a size x size map; from a larger one (`came_from`) by stride 2."""
    stride, source = (1, size) if came_from is None else (2, came_from)
    taps = sum(0 <= stride * position + tap - k // 2 < source for position in range(size) for tap in range(k))
    params = k * k * inputs * outputs + outputs
    return Layer(place, "conv", params, (2 * taps**2 * inputs + size**2) * outputs)


def dense(place: str, rows: int, inputs: int, outputs: int, *, bias: bool = True) -> Layer:
    """Return what a linear layer costs on `rows` vectors."""
    params = inputs * outputs + bias * outputs
    return Layer(place, "dense", params, rows * outputs * (2 * inputs + bias))


def _norm(place: str, rows: int, width: int) -> Layer:
    """Return a GroupNorm or LayerNorm with scale and shift: mean, variance, scaling: about 8 FLOPs each."""
    return Layer(place, "norm", 2 * width, 8 * rows * width)


def _res_block(place: str, size: int, inputs: int, outputs: int, embedding: int) -> Iterator[Layer]:
    """Yield norm, conv, + time, norm, conv, + input (by a 1 x 1 convolution where the width changes)."""
    pixels = size * size
    yield _norm(place, pixels, inputs)
    yield _conv(place, size, 3, inputs, outputs)
    yield dense(place, 1, embedding, outputs)
    yield _norm(place, pixels, outputs)
    yield _conv(place, size, 3, outputs, outputs)
    if inputs != outputs:
        yield _conv(place, size, 1, inputs, outputs)
    yield Layer(place, "other", 0, pixels * (4 * inputs + 6 * outputs))  # two SiLUs, two sums


def _transformer(place: str, size: int, width: int, c: int, tokens: int, context: int) -> Iterator[Layer]:
    """Yield norm, in, self-attention, cross-attention, gated feed-forward (GEGLU, 4x), out."""
    pixels = size * size
    yield _norm(place, pixels, width)
    yield _conv(place, size, 1, width, width)
    yield from _attention(place, pixels, pixels, width, heads(c), width)
    yield from _attention(place, pixels, tokens, width, heads(c), context)
    yield _norm(place, pixels, width)
    yield dense(place, pixels, width, 8 * width)
    yield Layer(place, "other", 0, 4 * width * pixels * 8)  # GELU and product
    yield dense(place, pixels, 4 * width, width)
    yield _conv(place, size, 1, width, width)


def _attention(place: str, rows: int, keys: int, width: int, heads: int, key_width: int) -> Iterator[Layer]:
    """Yield a LayerNorm, then `rows` queries over `keys` keys, which are made of vectors of `key_width`."""
    yield _norm(place, rows, width)
    yield dense(place, rows, width, width, bias=False)
    yield dense(place, keys, key_width, width, bias=False)
    yield dense(place, keys, key_width, width, bias=False)
    yield Layer(place, "attention", 0, 2 * 2 * rows * keys * width)
    yield Layer(place, "softmax", 0, 6 * heads * rows * keys)  # scale, max, -, exp, sum, /
    yield dense(place, rows, width, width)


@functools.cache
def unet_params(c: int, context: int = 1024, shape: Shape = FULL) -> int:
    """Count the parameters of the UNet: 8202 c^2 + (78 context + 1459) c + 4, counted layer by layer."""
    return sum(layer.params for layer in unet_layers(c, context=context, shape=shape))


@functools.cache
def unet_gflops(c: int, size: int = 64, tokens: int = 77, context: int = 1024, shape: Shape = FULL) -> float:
    """Return GFLOPs (1e9, a multiply-add is two) of one forward pass on one image."""
    return sum(layer.flops for layer in unet_layers(c, size, tokens, context, shape)) / 1e9


@functools.cache
def shallow_gflops(c: int, depth: int, size: int = 64, tokens: int = 77, context: int = 1024) -> float:
    """Return the GFLOPs of a forward pass that is given the features from below the first skip connections.

    `depth`: how many skip connections, 1 to 11 (`UNet.shallow`).
    """
    stages = list(unet_stages(c, size, tokens, context))  # time, 12 skips made, middle, 12 taken in, output
    done = stages[: 1 + depth] + stages[len(stages) - 1 - depth :]
    return sum(layer.flops for stage in done for layer in stage) / 1e9


def norm_cost(c: int, *, reference: int = REFERENCE, **shape: int) -> float:
    """Return the GFLOPs relative to the model of width `reference`; `shape` is (size, tokens, context)."""
    return unet_gflops(c, **shape) / unet_gflops(reference, **shape)


def sampling_cost(norm_cost: float, steps: int) -> float:
    """Return the paper's cost of an image: normalised cost x steps, guided or not (section 3.3).

    The paper's samplers ask the network once a step; of one that asks twice, give the evaluations.
    """
    return norm_cost * steps


def nfe(evaluations: int, *, guided: bool) -> int:
    """Return the network evaluations behind an image; guidance doubles them, which `sampling_cost` ignores.

    `evaluations` is the sampler's own count, the rows of its plan (`ldm.diffusion.plan.Plan.n`): as many as steps,
    but for Heun.
    """
    return evaluations * (2 if guided else 1)


def training_compute(norm_cost: float, images_seen: int) -> float:
    """Return the paper's training compute: normalised cost x iterations x batch, which is images seen.

    The text says "normalised cost x iterations", but its range ("below 1G") fits only with the
    batch: 500,000 iterations x 2048 images at cost 1 are 1.02e9.
    """
    return norm_cost * images_seen
