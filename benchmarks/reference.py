"""The same networks in diffusers: ours are compared with them, in tests for values, here for speed.

A training step and a sampling loop as one writes them in torch stand here, too. Nothing here imports JAX, so that a
process of torch's own waits for torch alone (`benchmarks.first`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers import DDIMScheduler, PixArtTransformer2DModel, UNet2DConditionModel

from benchmarks.cases import SCALE
from ldm.networks.cost import MULTIPLIERS, groups, heads
from ldm.networks.dit_config import DiTConfig

if TYPE_CHECKING:
    from jaxtyping import Array

    from benchmarks.cases import Case
    from ldm.networks.structure import Params

Prepare = Callable[[torch.nn.Module], Callable[..., torch.Tensor]]


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


def transformer_shape(config: DiTConfig, size: int) -> dict[str, float]:
    """What both of diffusers' transformers, DiT's and PixArt's, are told of a shape, for size x size latents."""
    return dict(
        num_attention_heads=config.heads,
        attention_head_dim=config.width // config.heads,
        in_channels=config.channels_in,
        out_channels=config.channels_out,
        num_layers=config.depth,
        sample_size=size,
        patch_size=config.patch,
        norm_eps=1e-6,
    )


def transformer_twin(config: DiTConfig, size: int) -> PixArtTransformer2DModel:
    """diffusers' transformer of a shape whose layers share one modulation, for size x size latents."""
    return PixArtTransformer2DModel(
        **transformer_shape(config, size),
        caption_channels=config.context,
        cross_attention_dim=config.width,
        use_additional_conditions=False,
    ).eval()


class Network(torch.nn.Module):
    """What a case times, called as (x, t, context) -> prediction, whichever of the two it is."""

    def __init__(self, case: Case):
        super().__init__()
        self.transformer = case.transformer is not None
        if self.transformer:
            self.net = transformer_twin(case.transformer, case.size)
        else:
            self.net = twin(case.c, case.context, case.size)

    def forward(self, x: torch.Tensor, t: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        if self.transformer:
            return self.net(x, encoder_hidden_states=context, timestep=t.expand(len(x))).sample
        return self.net(x, t, context).sample


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise, of networks that predict v."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )


def training(case: Case, prepare: Prepare = lambda net: net) -> Callable[[], None]:
    """A step: noise, the mean square error of v, the gradient clipped, Adam, and the average of the weights."""
    net = Network(case).train()
    average = copy.deepcopy(net).requires_grad_(False)
    call = prepare(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, betas=(0.9, 0.99))
    kept = scheduler().alphas_cumprod
    alphas, sigmas = kept.sqrt(), (1 - kept).sqrt()
    x0 = torch.randn(case.batch, 4, case.size, case.size)
    context = torch.randn(case.batch, case.tokens, case.context)

    def run() -> None:
        t = torch.randint(0, 1000, (case.batch,))
        eps = torch.randn_like(x0)
        alpha, sigma = (a[t][:, None, None, None] for a in (alphas, sigmas))
        loss = torch.nn.functional.mse_loss(call(alpha * x0 + sigma * eps, t, context), alpha * eps - sigma * x0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1e-3)

    return run


def sampling(case: Case, prepare: Prepare = lambda net: net) -> Callable[[], torch.Tensor]:
    """The loop of diffusers' StableDiffusionPipeline."""
    call, noise = prepare(Network(case).eval()), scheduler()
    noise.set_timesteps(case.steps)
    context = torch.randn(2 * case.batch, case.tokens, case.context)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        x = torch.randn(case.batch, 4, case.size, case.size)
        for t in noise.timesteps:
            without, with_text = call(torch.cat([x, x]), t, context).chunk(2)
            x = noise.step(without + SCALE * (with_text - without), t, x).prev_sample
        return x

    return run


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


def compiled(net: torch.nn.Module) -> Callable[..., torch.Tensor]:
    """Compile for the shapes that are met, which do not change (symbolic ones break it).

    What was compiled before is forgotten: beyond eight shapes of one class torch runs the next ones uncompiled.
    """
    torch.compiler.reset()
    return torch.compile(net, dynamic=False)
