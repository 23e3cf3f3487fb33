"""LoRA files: low-rank changes of a folder's weights, added to them as the folder is loaded (Hu et al. 2021, eq. 3).

A file holds for each changed layer two thin matrices, down (r, in) and up (out, r), and perhaps alpha; the layer's
weight W becomes W + weight alpha / r up down. Three layouts are read, for UNet and text tower, matrices and
convolutions alike: that of `diffusers` and peft (`unet.mid_block...to_q.lora_A.weight`), its older ones
(`...to_q.lora.down.weight`, `...processor.to_q_lora.down.weight`), and kohya's
(`lora_unet_mid_block_..._to_q.lora_down.weight`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ldm.interop.stable_diffusion.pipeline import Pipeline
from ldm.networks import weights
from ldm.networks.structure import Params
from ldm.networks.torch_layout import from_torch, to_torch

KINDS = {  # what a key ends in -> which part of a change it is
    r"\.lora_A(\.\w+)?\.weight|[._]lora[._]down\.weight": "down",
    r"\.lora_B(\.\w+)?\.weight|[._]lora[._]up\.weight": "up",
    r"\.alpha": "alpha",
}
PREFIXES = {  # what a key begins with -> the part of the pipeline
    "lora_unet_": "unet",
    "lora_te1_": "text_encoder",
    "lora_te_": "text_encoder",
    "text_encoder.": "text_encoder",
    "unet.": "unet",
    "": "unet",  # as UNet2DConditionModel.save_lora_adapter writes
}


@dataclass(frozen=True, eq=False)
class Change:
    """One layer's change, in torch's layout."""

    down: np.ndarray
    up: np.ndarray
    alpha: float | None = None

    @property
    def delta(self) -> np.ndarray:
        """up down alpha / r, (out, in) or (out, in, h, w)."""
        rank = len(self.down)
        product = self.up.reshape(len(self.up), rank) @ self.down.reshape(rank, -1)
        scale = 1.0 if self.alpha is None else self.alpha / rank
        return scale * product.reshape(len(self.up), *self.down.shape[1:])


def apply(pipeline: Pipeline, path: str | Path, weight: float = 1.0) -> Pipeline:
    """Return the pipeline with a LoRA file added to it, `weight` times; several are applied one after the other.

    Raises: ValueError, one sentence, for a file that is missing, broken or no LoRA file, and for keys or shapes that do
    not fit this pipeline: none is passed over.
    """
    path = Path(path)
    if not np.isfinite(weight):
        raise ValueError(f"weight of {path} = {weight}: expected a finite number; 1 is usual, 0 changes nothing.")
    changes = read(path)
    own = {"unet": pipeline.unet_params, "text_encoder": pipeline.text_params}
    places = {part: {_plain(name.removesuffix(".weight")): name for name in params} for part, params in own.items()}
    strange, found = [], {part: {} for part in own}
    for (part, layer), change in changes.items():
        name = next((places[part][one] for one in (layer, f"{layer}_0") if one in places[part]), None)
        if name is None:  # `to_out` of the oldest files is `to_out.0`
            strange.append(f"{part}: {layer}")
        else:
            found[part][name] = change
    if strange:
        raise ValueError(
            f"{path}: {len(strange)} of its {len(changes)} layers are not in this folder, the first is {strange[0]!r}; "
            "it was made for another kind of model, or another size."
        )
    linear = pipeline.unet.linear
    return replace(
        pipeline,
        unet_params=_added(path, own["unet"], found["unet"], weight, linear),
        text_params=_added(path, own["text_encoder"], found["text_encoder"], weight, False),
    )


def read(path: Path) -> dict[tuple[str, str], Change]:
    """Return (part, layer) -> change; a layer's name has "_" for every ".". Raises: ValueError as `apply`."""
    tensors = weights.load(path, half_to_float32=True)
    parts: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for key, tensor in tensors.items():
        match = next(((kind, m) for end, kind in KINDS.items() if (m := re.search(f"(?:{end})$", key))), None)
        if match is None:
            raise ValueError(
                f"{path}: {key!r} is no matrix of a LoRA (down, up, alpha), whose other kinds (DoRA, LoHa, LoKr, "
                "LoCon's middle) are not supported; give a plain LoRA file."
            )
        kind, ending = match
        name = key[: ending.start()].removeprefix("base_model.model.").replace(".processor.", ".")
        prefix, part = next((p, part) for p, part in PREFIXES.items() if name.startswith(p))
        layer = _plain(name.removeprefix(prefix)).removeprefix("text_model_" if part == "text_encoder" else "")
        parts.setdefault((part, layer), {})[kind] = tensor
    alphas = _alphas(path)
    changes = {}
    whole = lambda found: {"down", "up"} <= found.keys() and len(found["down"]) == found["up"].shape[1]
    if broken := [f"{part}: {layer}" for (part, layer), found in parts.items() if not whole(found)]:
        raise ValueError(
            f"{path}: {' and '.join(broken[:2])} lack{'s' * (len(broken) == 1)} a down or an up matrix, or the two do"
            " not fit (one misspelt key does that to two layers); copy the file again."
        )
    for (part, layer), found in parts.items():
        alpha = float(found["alpha"]) if "alpha" in found else alphas.get(part)
        changes[part, layer] = Change(found["down"].astype(np.float64), found["up"].astype(np.float64), alpha)
    if not changes:
        raise ValueError(f"{path} holds no tensor; give a LoRA file.")
    return changes


def _alphas(path: Path) -> dict[str, float]:
    """Return the alpha of each part where `diffusers` noted it for all layers.

    Raises: ValueError for what we do not do.
    """
    metadata = json.loads(weights.metadata(path).get("lora_adapter_metadata", "{}"))
    for name in ("use_dora", "use_rslora", "alpha_pattern"):
        if wrong := [key for key, value in metadata.items() if key.endswith(f".{name}") and value]:
            raise ValueError(f"{path}: {wrong[0]} = {metadata[wrong[0]]!r} is not supported; give a plain LoRA file.")
    return {key.removesuffix(".lora_alpha"): float(metadata[key]) for key in metadata if key.endswith(".lora_alpha")}


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _added(path: Path, params: Params, changes: Mapping[str, Change], weight: float, linear: bool) -> Params:
    out = dict(params)
    for name, change in changes.items():
        before = np.asarray(params[name])
        shape, delta = to_torch(name, before, linear).shape, change.delta
        if delta.squeeze().shape != np.empty(shape).squeeze().shape:  # a 1 x 1 convolution may be written as a matrix
            raise ValueError(
                f"{path}: its change of {name!r} has shape {delta.shape} where the folder's weight has {shape}; it was "
                "made for a model of another size."
            )
        out[name] = (before + weight * from_torch(name, delta.reshape(shape), linear)).astype(before.dtype)
    return out
