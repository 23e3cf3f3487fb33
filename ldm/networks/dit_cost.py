"""What a diffusion transformer costs: layer by layer in the project's FLOPs, and the closed forms of the papers.

Units and rules as in `ldm.networks.cost`. The papers' "Gflops" are multiply-adds of matrix products alone: half as
many.
"""

from __future__ import annotations

from collections.abc import Iterator

from ldm.networks.cost import Layer, dense
from ldm.networks.dit_config import DiTConfig

SINUSOIDS = 256  # of the time, and as many numbers


def dit_layers(config: DiTConfig, size: int, tokens: int = 0) -> Iterator[Layer]:
    """Yield a transformer's layers in the order of its forward pass (`networks/dit.py` runs it) on size x size latents.

    tokens: length of the text embedding. The time's embedding, the caption's and what modulates the layers come once an
    image; all else once a patch.

    Raises: ValueError for a size that the patch does not divide.
    """
    d, n, squares = config.width, config.tokens(size), config.patch**2

    yield dense("time", 1, SINUSOIDS, d)
    yield dense("time", 1, d, d)
    if config.guidance:
        yield dense("time", 1, config.guidance, SINUSOIDS, bias=False)
    if config.classes:
        yield Layer("label", "embedding", (config.classes + 1) * d, d)
    else:
        yield from _mlp("caption", tokens, config.context, d, d)
    if config.context and not config.single:
        yield from _mlp("pooled", 1, config.context, d, d)
    yield dense("patch", n, config.channels_in * squares, d)
    yield Layer("patch", "positions", 0, n * d)
    if config.single:
        yield dense("modulation", 1, d, 6 * d)

    for layer in range(config.depth):
        place = f"layer{layer}"
        if config.single:
            yield Layer(f"{place}/modulation", "table", 6 * d, 6 * d)
        else:
            yield dense(f"{place}/modulation", 1, d, 6 * d)
        yield from _attention(f"{place}/self", n, n, d, config.heads, gated=True)
        if config.context:
            yield from _attention(f"{place}/cross", n, tokens, d, config.heads, gated=False)
        yield _norm(f"{place}/mlp", n, d)
        yield from _mlp(f"{place}/mlp", n, d, 4 * d, d)
        yield Layer(f"{place}/mlp", "other", 0, 2 * n * d)  # gate and sum

    yield Layer("out", "table", 2 * d, 2 * d) if config.single else dense("out", 1, d, 2 * d)
    yield _norm("out", n, d)
    yield dense("out", n, d, squares * config.channels_out)


def _norm(place: str, rows: int, width: int) -> Layer:
    """Return a LayerNorm without parameters and its modulation: 8 FLOPs an element (mean, variance, scaling) and 3."""
    return Layer(place, "norm", 0, 11 * rows * width)


def _mlp(place: str, rows: int, inputs: int, hidden: int, outputs: int) -> Iterator[Layer]:
    yield dense(place, rows, inputs, hidden)
    yield Layer(place, "other", 0, 8 * rows * hidden)  # GELU by tanh
    yield dense(place, rows, hidden, outputs)


def _attention(place: str, rows: int, keys: int, width: int, heads: int, *, gated: bool) -> Iterator[Layer]:
    """Yield `rows` queries over `keys` keys; gated: on a normalised input, and added through a gate."""
    if gated:
        yield _norm(place, rows, width)
    yield dense(place, rows, width, width)
    yield dense(place, keys, width, width)
    yield dense(place, keys, width, width)
    yield Layer(place, "attention", 0, 2 * 2 * rows * keys * width)
    yield Layer(place, "softmax", 0, 6 * heads * rows * keys)
    yield dense(place, rows, width, width)
    yield Layer(place, "other", 0, (2 if gated else 1) * rows * width)


def params_of(config: DiTConfig) -> int:
    """Count the parameters of this transformer that are trained; the positions are none."""
    return sum(layer.params for layer in dit_layers(config, config.patch))


def gflops_of(config: DiTConfig, size: int, tokens: int = 0) -> float:
    """Return GFLOPs (1e9, a multiply-add is two) of one forward pass of this transformer on one image."""
    return sum(layer.flops for layer in dit_layers(config, size, tokens)) / 1e9


def multiply_adds(config: DiTConfig, size: int, tokens: int = 0) -> int:
    """Count multiply-adds of the matrix products of one pass on one image: the "flops" of DiT, SiT and PixArt.

    T (C p^2 + p^2 C') d + 256 d + d^2 outside the layers; in each 12 T d^2 + 2 T^2 d, and 6 d^2 for the modulation;
    with M words of text further 2 T d^2 + 2 M d^2 + 2 T M d, and M (e d + d^2) once. Norms, activations and softmax
    are free.
    """
    c, d, n, square = config, config.width, config.tokens(size), config.patch**2
    layer = 12 * n * d**2 + 2 * n**2 * d
    once = n * square * (c.channels_in + c.channels_out) * d + SINUSOIDS * d + d**2 + c.guidance * SINUSOIDS
    if c.context:
        layer += 2 * n * d**2 + 2 * tokens * d**2 + 2 * n * tokens * d
        once += tokens * (c.context * d + d**2)
    if c.single:
        once += 6 * d**2
    else:
        layer, once = layer + 6 * d**2, once + 2 * d**2 + (c.context * d + d**2 if c.context else 0)
    return c.depth * layer + once
