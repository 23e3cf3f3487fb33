"""LPIPS, version 0.1: a distance of two pictures that follows what people see (Zhang et al. 2018).

arXiv:1801.03924, section 3: the activations of five layers of an ImageNet network, each pixel's scaled to
unit length; their squared differences, weighted a channel by learned heads, averaged over the pixels and
summed over the layers. The trunk is torchvision's AlexNet or VGG16, the heads are those of the `lpips`
package (BSD-2-Clause); both as published, converted to safetensors by tools/convert_torch_weights.py.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, UInt8

from ldm.hashing import digest
from ldm.metrics.perceptual.network import check, in_batches, read
from ldm.networks.initial import KeySource, torch_default
from ldm.networks.structure import Params, Structure, merge

Net = Literal["alex", "vgg"]
SMALLEST = 32  # pixels a side that every layer needs
MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pixels in [-1, 1]


class Layer(NamedTuple):
    """A convolution with bias and ReLU.

    It says its number in torchvision's `features`, what comes before it, and whether its output is compared.
    """

    number: int
    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0  # side of the maximum pooling before it, of stride 2
    compared: bool = False


TRUNKS = {
    "alex": (
        Layer(0, 64, 11, 4, 2, compared=True),
        Layer(3, 192, 5, 1, 2, pool=3, compared=True),
        Layer(6, 384, pool=3, compared=True),
        Layer(8, 256, compared=True),
        Layer(10, 256, compared=True),
    ),
    "vgg": (
        Layer(0, 64),
        Layer(2, 64, compared=True),
        Layer(5, 128, pool=2),
        Layer(7, 128, compared=True),
        Layer(10, 256, pool=2),
        Layer(12, 256),
        Layer(14, 256, compared=True),
        Layer(17, 512, pool=2),
        Layer(19, 512),
        Layer(21, 512, compared=True),
        Layer(24, 512, pool=2),
        Layer(26, 512),
        Layer(28, 512, compared=True),
    ),
}


class Convolution(nnx.Module):
    """A layer of the trunk: maximum pooling where there is any, convolution, ReLU."""

    def __init__(self, inputs: int, layer: Layer, *, keys: KeySource):
        fan_in = inputs * layer.kernel**2
        self.layer = layer
        self.weight = nnx.Param(torch_default(keys(), (layer.kernel, layer.kernel, inputs, layer.width), fan_in))
        self.bias = nnx.Param(jnp.zeros(layer.width))

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n h2 w2 o"]:
        if side := self.layer.pool:
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, side, side, 1), (1, 2, 2, 1), "VALID")
        x = lax.conv_general_dilated(
            x,
            self.weight[...],
            (self.layer.stride, self.layer.stride),
            [(self.layer.padding, self.layer.padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return nnx.relu(x + self.bias[...])


class Trunk(nnx.Module):
    """Pixels (n, h, w, 3), normalised -> the compared maps, each pixel of unit length."""

    def __init__(self, net: Net, *, keys: KeySource):
        widths = [3] + [layer.width for layer in TRUNKS[net]]
        self.layers = TRUNKS[net]
        for width, layer in zip(widths, self.layers, strict=False):
            setattr(self, f"features_{layer.number}", Convolution(width, layer, keys=keys))

    def __call__(self, x: Float[Array, "n h w 3"]) -> list[Float[Array, "n _ _ _"]]:
        maps = []
        for layer in self.layers:
            x = getattr(self, f"features_{layer.number}")(x)
            if layer.compared:
                maps.append(x / (jnp.sqrt(jnp.square(x).sum(-1, keepdims=True)) + 1e-10))
        return maps


class Heads(nnx.Module):
    """One weight a channel of each compared map."""

    def __init__(self, net: Net, *, keys: KeySource):
        widths = [layer.width for layer in TRUNKS[net] if layer.compared]
        self.lin = nnx.List([nnx.Param(torch_default(keys(), (1, 1, width, 1), width)) for width in widths])


def pixels(images: UInt8[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    """Return pictures as the trunk is shown them, normalised."""
    return (images.astype(jnp.float32) / 127.5 - 1 - jnp.array(MEAN)) / jnp.array(STD)


@partial(jax.jit, static_argnums=(0, 1))
def _distance(
    trunk: Structure, heads: Structure, params: tuple[Params, Params], a: UInt8[Array, "n h w 3"], b: Array
) -> Float[Array, " n"]:
    with jax.default_matmul_precision("highest"):  # an accelerator's default is coarser
        look, weights = merge(trunk, params[0]), merge(heads, params[1]).lin
        maps = look(pixels(jnp.concatenate([a, b])))  # one pass for both
        squares = [jnp.square(jnp.subtract(*jnp.split(x, 2))) for x in maps]
        return reduce(operator.add, ((x @ w[...][0, 0]).mean((1, 2, 3)) for x, w in zip(squares, weights, strict=True)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Lpips:
    """`distance(a, b)`: two times uint8 (n, H, W, 3) -> float32 (n,), one compile per picture size."""

    net: Net
    trunk: Structure
    heads: Structure
    params: tuple[Params, Params]

    @cached_property
    def protocol(self) -> str:
        """What determines the distances; part of the protocol of every number made from them."""
        trunk, heads = (digest(params, 8) for params in self.params)
        return f"LPIPS 0.1 ({self.net}), own resolution, float32, weights {trunk}, heads {heads}"

    def __call__(self, a: UInt8[np.ndarray, "n h w 3"], b: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
        """Return the distances.

        Raises: ValueError if these are no uint8 images, of different shapes, or under 32 pixels.
        """
        a, b = check(a, "LPIPS"), check(b, "LPIPS")
        if a.shape != b.shape:
            raise ValueError(f"LPIPS got images of shapes {a.shape} and {b.shape}; give it pairs of one size.")
        if min(a.shape[1:3]) < SMALLEST:
            raise ValueError(f"LPIPS got {a.shape[1]} x {a.shape[2]} pixels; give it at least {SMALLEST} a side.")
        return in_batches(partial(_distance, self.trunk, self.heads, self.params), a, b)


def load_lpips(trunk: str | Path, heads: str | Path, *, net: Net = "alex") -> Lpips:
    """Load LPIPS with published weights.

    Args:
        trunk: torchvision's AlexNet or VGG16 (alexnet-owt-7be5be79.pth, vgg16-397923af.pth), whose
            classifier is passed over.
        heads: lpips/weights/v0.1/alex.pth or vgg.pth of the `lpips` package.
    Raises: ValueError, one sentence, for a file that is missing, broken or another network's.
    """
    if net not in get_args(Net):
        raise ValueError(f"net = {net!r}: expected one of {', '.join(get_args(Net))}.")
    of_trunk = lambda name: None if name.startswith("classifier.") else name.replace("features.", "features_")
    of_head = lambda name: name.removesuffix(".model.1.weight").replace("lin", "lin.")
    look, weights = read(trunk, lambda keys: Trunk(net, keys=keys), of_trunk)
    weigh, learned = read(heads, lambda keys: Heads(net, keys=keys), of_head)
    return Lpips(net=net, trunk=look, heads=weigh, params=(weights, learned))
