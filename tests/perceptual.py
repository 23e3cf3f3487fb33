"""What the tests of the feature networks share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image

from ldm.metrics.perceptual.network import View
from ldm.networks import weights
from ldm.networks.initial import KeySource
from ldm.networks.structure import abstract, merge
from tests.random_weights import draw, shapes_of

GOLDEN = Path(__file__).parent / "golden" / "perceptual.safetensors"


def write(path: Path, build: Callable[[KeySource], nnx.Module], rename: Callable[[str], str] = str) -> Path:
    """A file of random weights for a module, under their published names."""
    shapes = {rename(name): shape for name, shape in shapes_of(build).items()}
    return weights.save(path, draw(shapes))


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of a row, of that row's norm."""
    return float((np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1)).max())


def by_pil(image: np.ndarray, width: int, height: int) -> Image.Image:
    """Bicubic, first along the width, as any Pillow before 13 does it in one call."""
    bicubic = Image.Resampling.BICUBIC
    return Image.fromarray(image).resize((width, image.shape[0]), bicubic).resize((width, height), bicubic)


def answers(view: View, build: Callable[[KeySource], nnx.Module]) -> jax.ShapeDtypeStruct:
    """Shape and dtype of what a network makes of two pictures; no weight and no picture is allocated."""
    structure, like = abstract(build)
    images = jax.ShapeDtypeStruct((2, 100, 120, 3), jnp.uint8)
    return jax.eval_shape(lambda params, images: merge(structure, params)(view(images)), like, images)
