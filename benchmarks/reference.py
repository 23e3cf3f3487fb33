"""The same network in diffusers: ours is compared with it, in tests for values, here for speed."""

from __future__ import annotations

import functools

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Array

from ldm.networks.cost import MULTIPLIERS, groups, heads
from ldm.networks.structure import Params


def twin(c: int, context: int, size: int, params: Params | None = None, **options: int) -> UNet2DConditionModel:
    """diffusers' Stable Diffusion 1 UNet at width c for size x size latents; our weights, if given; diffusers' own
    options.
    """
    attend = len(MULTIPLIERS) - 1
    net = UNet2DConditionModel(
        sample_size=size,
        block_out_channels=[m * c for m in MULTIPLIERS],
        down_block_types=["CrossAttnDownBlock2D"] * attend + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * attend,
        cross_attention_dim=context,
        attention_head_dim=heads(c),  # in spite of its name the number of heads
        norm_num_groups=groups(c),
        **options,
    )
    if params is not None:
        net.load_state_dict({name: to_torch(array) for name, array in params.items()})
    return net.eval()


def to_torch(array: Array) -> torch.Tensor:
    """Our layout to theirs: HWIO to OIHW, (in, out) to (out, in)."""
    return torch.from_numpy(np.array(array).transpose(order(array.ndim)).copy())


def order(rank: int) -> tuple[int, ...]:
    return {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[rank]


def nchw(x: Array) -> torch.Tensor:
    """Images or latents, NHWC to torch's NCHW."""
    return torch.from_numpy(np.array(x).transpose(0, 3, 1, 2).copy())


def nhwc(x: torch.Tensor) -> np.ndarray:
    return x.detach().numpy().transpose(0, 2, 3, 1)


compiled = functools.partial(torch.compile, dynamic=False)  # shapes do not change, and symbolic ones break it
