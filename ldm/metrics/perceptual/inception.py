"""Inception-v3 as FID has it: TensorFlow's network of 2015, whose pooled features are called pool3.

Szegedy et al. 2016 (arXiv:1512.00567); FID: Heusel et al. 2017 (arXiv:1706.08500); Inception score:
Salimans et al. 2016 (arXiv:1606.03498). It is not torchvision's Inception: the mean pools leave padding
out of the mean, the last block pools by the maximum, and there are 1008 classes. Attributes are named as
in pytorch-fid's and torch-fidelity's `pt_inception-2015-12-05-6726825d.pth`, converted to safetensors by
tools/convert_torch_weights.py. Only numbers made with those weights may be called FID.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from ldm.metrics.perceptual.network import Network, View, read
from ldm.metrics.perceptual.resize import CLEAN, TENSORFLOW, TORCH
from ldm.metrics.perceptual.windows import convolve, max_pool, mean_pool
from ldm.networks.initial import KeySource, torch_default
from ldm.networks.layers import Linear

SIDE = 299
Protocol = Literal["clean-fid", "torch-fidelity", "pytorch-fid"]
VIEWS: dict[Protocol, View] = {
    "clean-fid": View(CLEAN, SIDE, (128.0,), (128.0,)),
    "torch-fidelity": View(TENSORFLOW, SIDE, (128.0,), (128.0,)),  # as the first FID
    "pytorch-fid": View(TORCH, SIDE, (127.5,), (127.5,)),
}


class Spec(NamedTuple):
    """A convolution: its published name, channels, kernel; `valid` without padding."""

    name: str
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    valid: bool = False


class Branch(NamedTuple):
    """Convolutions one after the other; `fork` are two more, side by side, joined along the channels."""

    chain: tuple[Spec, ...]
    fork: tuple[Spec, ...] = ()


WIDE, TALL = (1, 7), (7, 1)


def block_a(pool: int) -> list[Branch]:
    """Return the branches at 35 x 35: 1x1, 5x5, two 3x3, and the pool's projection to `pool` channels."""
    return [
        Branch((Spec("branch1x1", 64),)),
        Branch((Spec("branch5x5_1", 48), Spec("branch5x5_2", 64, (5, 5)))),
        Branch((Spec("branch3x3dbl_1", 64), Spec("branch3x3dbl_2", 96, (3, 3)), Spec("branch3x3dbl_3", 96, (3, 3)))),
        Branch((Spec("branch_pool", pool),)),
    ]


def block_b() -> list[Branch]:
    """Return the branches from 35 x 35 to 17 x 17."""
    return [
        Branch((Spec("branch3x3", 384, (3, 3), 2, True),)),
        Branch(
            (
                Spec("branch3x3dbl_1", 64),
                Spec("branch3x3dbl_2", 96, (3, 3)),
                Spec("branch3x3dbl_3", 96, (3, 3), 2, True),
            )
        ),
    ]


def block_c(width: int) -> list[Branch]:
    """Return the branches at 17 x 17: 7x7 as 1x7 and 7x1, once and twice."""
    return [
        Branch((Spec("branch1x1", 192),)),
        Branch((Spec("branch7x7_1", width), Spec("branch7x7_2", width, WIDE), Spec("branch7x7_3", 192, TALL))),
        Branch(
            (
                Spec("branch7x7dbl_1", width),
                Spec("branch7x7dbl_2", width, TALL),
                Spec("branch7x7dbl_3", width, WIDE),
                Spec("branch7x7dbl_4", width, TALL),
                Spec("branch7x7dbl_5", 192, WIDE),
            )
        ),
        Branch((Spec("branch_pool", 192),)),
    ]


def block_d() -> list[Branch]:
    """Return the branches from 17 x 17 to 8 x 8."""
    return [
        Branch((Spec("branch3x3_1", 192), Spec("branch3x3_2", 320, (3, 3), 2, True))),
        Branch(
            (
                Spec("branch7x7x3_1", 192),
                Spec("branch7x7x3_2", 192, WIDE),
                Spec("branch7x7x3_3", 192, TALL),
                Spec("branch7x7x3_4", 192, (3, 3), 2, True),
            )
        ),
    ]


def block_e() -> list[Branch]:
    """Return the branches at 8 x 8: 3x3 as 1x3 beside 3x1."""
    fork = lambda name: (Spec(f"{name}a", 384, (1, 3)), Spec(f"{name}b", 384, (3, 1)))
    return [
        Branch((Spec("branch1x1", 320),)),
        Branch((Spec("branch3x3_1", 384),), fork("branch3x3_2")),
        Branch((Spec("branch3x3dbl_1", 448), Spec("branch3x3dbl_2", 384, (3, 3))), fork("branch3x3dbl_3")),
        Branch((Spec("branch_pool", 192),)),
    ]


class Kernel(nnx.Module):
    """The weights of a convolution, a level deeper for the published names' sake."""

    def __init__(self, inputs: int, spec: Spec, *, keys: KeySource):
        h, w = spec.kernel
        self.weight = nnx.Param(torch_default(keys(), (h, w, inputs, spec.width), h * w * inputs))


class BatchNorm(nnx.Module):
    """With the mean and variance of the training, fixed."""

    def __init__(self, width: int):
        self.weight, self.bias = nnx.Param(jnp.ones(width)), nnx.Param(jnp.zeros(width))
        self.running_mean, self.running_var = nnx.Param(jnp.zeros(width)), nnx.Param(jnp.ones(width))

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        scale = self.weight[...] * lax.rsqrt(self.running_var[...] + 1e-3)
        return x * scale + (self.bias[...] - self.running_mean[...] * scale)


class Convolution(nnx.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, spec: Spec, *, keys: KeySource):
        self.stride, self.padding = spec.stride, "VALID" if spec.valid else "SAME"
        self.conv = Kernel(inputs, spec, keys=keys)
        self.bn = BatchNorm(spec.width)

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n h2 w2 o"]:
        return nnx.relu(self.bn(convolve(x, self.conv.weight[...], self.stride, self.padding)))


class Mixed(nnx.Module):
    """Branches over one map, joined along the channels.

    One with `branch_pool` pools before it; one without halves the map and joins the pooled map as it is.
    """

    def __init__(self, inputs: int, branches: list[Branch], *, largest: bool = False, keys: KeySource):
        # names only: what is not a weight has to be hashable
        self.branches = tuple(
            (tuple(s.name for s in branch.chain), tuple(s.name for s in branch.fork)) for branch in branches
        )
        self.largest, self.width = largest, 0
        for chain, fork in branches:
            width = inputs
            for spec in chain:
                setattr(self, spec.name, Convolution(width, spec, keys=keys))
                width = spec.width
            for spec in fork:
                setattr(self, spec.name, Convolution(width, spec, keys=keys))
            self.width += sum(spec.width for spec in fork) or width
        if not hasattr(self, "branch_pool"):
            self.width += inputs

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n h2 w2 o"]:
        parts = []
        for chain, fork in self.branches:
            y = x
            if chain == ("branch_pool",):
                y = max_pool(x, 1, "SAME") if self.largest else mean_pool(x)
            for name in chain:
                y = getattr(self, name)(y)
            parts += [getattr(self, name)(y) for name in fork] or [y]
        if not hasattr(self, "branch_pool"):
            parts.append(max_pool(x, 2, "VALID"))
        return jnp.concatenate(parts, -1)


STEM = (
    Spec("Conv2d_1a_3x3", 32, (3, 3), 2, True),
    Spec("Conv2d_2a_3x3", 32, (3, 3), 1, True),
    Spec("Conv2d_2b_3x3", 64, (3, 3)),
    "pool",
    Spec("Conv2d_3b_1x1", 80),
    Spec("Conv2d_4a_3x3", 192, (3, 3), 1, True),
    "pool",
)
MIXED = {
    "Mixed_5b": block_a(32),
    "Mixed_5c": block_a(64),
    "Mixed_5d": block_a(64),
    "Mixed_6a": block_b(),
    "Mixed_6b": block_c(128),
    "Mixed_6c": block_c(160),
    "Mixed_6d": block_c(160),
    "Mixed_6e": block_c(192),
    "Mixed_7a": block_d(),
    "Mixed_7b": block_e(),
    "Mixed_7c": block_e(),
}


class Inception(nnx.Module):
    """Pixels (n, 299, 299, 3) in [-1, 1] -> pool3 (n, 2048)."""

    def __init__(self, *, keys: KeySource):
        width = 3
        for spec in STEM:
            if spec != "pool":
                setattr(self, spec.name, Convolution(width, spec, keys=keys))
                width = spec.width
        for name, branches in MIXED.items():
            mixed = Mixed(width, branches, largest=name == "Mixed_7c", keys=keys)
            setattr(self, name, mixed)
            width = mixed.width
        self.fc = Linear(width, 1008, keys=keys)

    def __call__(self, x: Float[Array, "n h w 3"]) -> Float[Array, "n 2048"]:
        for spec in STEM:
            x = max_pool(x, 2, "VALID") if spec == "pool" else getattr(self, spec.name)(x)
        for name in MIXED:
            x = getattr(self, name)(x)
        return x.mean((1, 2))


@dataclass(frozen=True, kw_only=True, eq=False)
class InceptionNetwork(Network):
    """`network(images)` is pool3, float32 (n, 2048); `network.logits(features)` feeds the Inception score."""

    def logits(self, features: Float[np.ndarray, "n 2048"]) -> Float[np.ndarray, "n 1008"]:
        """Return class scores before the softmax, without the bias, as the Inception score has them."""
        return features @ np.asarray(self.params["fc.weight"])


def load_inception(path: str | Path, *, protocol: Protocol = "clean-fid") -> InceptionNetwork:
    """Return the network with the published weights, and the resizer of one of the published programs.

    Raises: ValueError, one sentence, for a file that is missing, broken or another network's.
    """
    if protocol not in get_args(Protocol):
        raise ValueError(f"protocol = {protocol!r}: expected one of {', '.join(get_args(Protocol))}.")
    counter = lambda name: None if name.endswith("num_batches_tracked") else name
    structure, params = read(path, lambda keys: Inception(keys=keys), counter)
    return InceptionNetwork(
        name=f"Inception-v3 pool3 as in {protocol}",
        view=VIEWS[protocol],
        structure=structure,
        params=params,
        dimension=2048,
    )
