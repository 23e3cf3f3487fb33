"""What is timed: a task of a network of this study's shapes. Numbers alone, which load neither JAX nor torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ldm.hashing import later
from ldm.networks.cost import unet_gflops, unet_params
from ldm.networks.dit_config import DiTConfig, small
from ldm.networks.dit_cost import gflops_of, params_of

STEPS, SCALE = 20, 4.0  # of sampling, and its guidance


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task of a UNet of width c, or a transformer, on size x size x 4 latents."""

    task: str  # "train" or "sample"
    c: int
    size: int
    batch: int
    tokens: int
    context: int
    steps: int = 0  # of the sampler
    patch: int = later(0)  # of a transformer of width c; 0: a UNet

    @property
    def transformer(self) -> DiTConfig | None:
        """Of its shape, if it is one: the study's of that width, but that one modulation serves all layers.

        So has PixArt-alpha's, the one that diffusers has for text.
        """
        return replace(small(self.c, self.context, self.patch), single=True) if self.patch else None

    @property
    def network(self) -> str:
        """Which one it is, in words."""
        return f"transformer of width {self.c}" if self.patch else f"c = {self.c}"

    @property
    def latents(self) -> str:
        """Their shape, in words."""
        patches = f" in patches of {self.patch}" if self.patch else ""
        return f"{self.size}x{self.size}x4 latents{patches}"

    @property
    def evaluations(self) -> int:
        """Forward passes an image: guidance doubles a step's, a backward pass counts as two."""
        return 3 if self.task == "train" else 2 * self.steps

    @property
    def gflops(self) -> float:
        """Of one forward pass on one image."""
        if self.transformer:
            return gflops_of(self.transformer, self.size, self.tokens)
        return unet_gflops(self.c, self.size, self.tokens, self.context)

    @property
    def params(self) -> int:
        return params_of(self.transformer) if self.transformer else unet_params(self.c, self.context)


# The second UNet has Stable Diffusion's text and the shape of its smallest maps; the last transformer is DiT-S/2.
CASES = (
    {"c": 32, "size": 8, "tokens": 24, "context": 128, "batch": 64},
    {"c": 64, "size": 16, "tokens": 77, "context": 768, "batch": 4},
    {"c": 120, "size": 8, "tokens": 24, "context": 128, "batch": 64, "patch": 1},
    {"c": 384, "size": 16, "tokens": 77, "context": 768, "batch": 4, "patch": 2},
)


ALONE = {**CASES[0], "batch": 1}  # somebody waits for one picture


def cases(task: str, **more: int) -> list[Case]:
    """What is raced of a task: to draw, one picture as well."""
    asked = (*CASES, ALONE) if task == "sample" else CASES
    return [Case(task=task, **{**values, **more}) for values in asked]
