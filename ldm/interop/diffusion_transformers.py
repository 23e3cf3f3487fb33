"""Weights of diffusion transformers in the layout of `diffusers`: DiT's, and PixArt-alpha's with text.

diffusers has a module a layer, and in each of DiT's layers a copy of the embeddings of time and label, which DiT has
once; ours has the layers stacked. The transformers of the study, with a modulation of their own in each layer and text,
exist in no other library.

diffusers asks DiT's time at frequencies 10000^(-i / 127) where DiT's own code, with which the weights were trained, and
ours have 10000^(-i / 128).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from ldm.interop.stable_diffusion.files import STEMS, check_config, naming, read_config, read_tensors, write_config
from ldm.networks import weights
from ldm.networks.dit import DiT
from ldm.networks.dit_config import DiTConfig
from ldm.networks.structure import Params, abstract
from ldm.networks.torch_layout import from_torch, to_torch

LAYERS = "transformer_blocks."
IN_LAYERS = {"adaln.": "norm1.linear.", "ff.linear_1.": "ff.net.0.proj.", "ff.linear_2.": "ff.net.2."}
EMBEDDINGS = {
    "time_embedding.": "norm1.emb.timestep_embedder.",
    "label_embedding.": "norm1.emb.class_embedder.embedding_table.",
}
LABELLED = {"patches.": "pos_embed.proj.", "proj_out.": "proj_out_2."}
SINGLE = {
    "patches.": "pos_embed.proj.",
    "time_embedding.": "adaln_single.emb.timestep_embedder.",
    "adaln_single.": "adaln_single.linear.",
}


def places(config: DiTConfig, name: str) -> list[str]:
    """Return the names in diffusers of a weight of ours.

    One a layer of what is stacked here or repeated there, else one.
    """
    if name.startswith(LAYERS):
        rest = _renamed(name.removeprefix(LAYERS), IN_LAYERS)
    elif not config.single and name.startswith(tuple(EMBEDDINGS)):
        rest = _renamed(name, EMBEDDINGS)
    else:
        return [_renamed(name, SINGLE if config.single else LABELLED)]
    return [f"{LAYERS}{layer}.{rest}" for layer in range(config.depth)]


def _renamed(name: str, names: dict[str, str]) -> str:
    old = next((old for old in names if name.startswith(old)), "")
    return names.get(old, "") + name.removeprefix(old)


def _layout(name: str, array: np.ndarray, back: bool = False) -> np.ndarray:
    if name.endswith("_table"):
        return array
    return from_torch(name, array) if back else to_torch(name, array)


def to_diffusers(config: DiTConfig, params: Params) -> dict[str, np.ndarray]:
    """Return our weights as diffusers names and lays them out.

    Raises: ValueError for a network that it does not have.
    """
    check_exchanged(config)
    tensors = {}
    for name, array in params.items():
        array, theirs = np.asarray(array), places(config, name)
        for i, place in enumerate(theirs):
            tensors[place] = _layout(name, array[i] if name.startswith(LAYERS) else array)
    return tensors


def from_diffusers(config: DiTConfig, tensors: Mapping[str, np.ndarray], path: Path = Path("these weights")) -> Params:
    """Return the inverse of `to_diffusers`; `path` names the tensors in messages.

    Raises: ValueError, one sentence, for a tensor that is missing, not expected or of another shape, and where the
    layers' embeddings are not copies of one.
    """
    check_exchanged(config)
    like = abstract(lambda keys: DiT(config, keys=keys))[1]
    shapes = to_diffusers(config, {name: np.broadcast_to(np.zeros((), a.dtype), a.shape) for name, a in like.items()})
    tensors = {name: array for name, array in tensors.items() if name != "pos_embed.pos_embed"}  # they are computed
    weights.compare(path, tensors, {name: jax.ShapeDtypeStruct(a.shape, a.dtype) for name, a in shapes.items()})
    params = {}
    for name in like:
        found = [_layout(name, tensors[place], back=True) for place in places(config, name)]
        if name.startswith(LAYERS):
            params[name] = np.stack(found)
            continue
        if any(not np.array_equal(found[0], other) for other in found[1:]):
            raise ValueError(
                f"{path}: the layers' copies of {name} differ; expected one embedding in all, as DiT was published: "
                "convert the weights from its own file again."
            )
        params[name] = found[0]
    return params


def check_exchanged(config: DiTConfig) -> None:
    """Raise ValueError for a network that diffusers does not have."""
    if config.context and not config.single or config.guidance:
        raise ValueError(
            f"context = {config.context}, single = {config.single}, guidance = {config.guidance}: expected DiT with "
            "labels or PixArt-alpha's shared modulation, which are what diffusers has; keep others in our own layout."
        )


COMMON = {
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "attention_type": "default",
    "dropout": 0.0,
    "norm_elementwise_affine": False,
    "norm_num_groups": 32,
}
READ = {
    "num_attention_heads",
    "attention_head_dim",
    "in_channels",
    "out_channels",
    "num_layers",
    "sample_size",
    "patch_size",
    "num_embeds_ada_norm",
    "norm_eps",  # published as 1e-5 and as 1e-6, which is ours
    "caption_channels",
    "cross_attention_dim",
    "interpolation_scale",
    "use_additional_conditions",
}


def read_transformer(folder: Path) -> tuple[DiTConfig, Params, int]:
    """Return shape, weights, and height of the latents it was trained on, of a folder that diffusers wrote.

    Raises: ValueError, one sentence, for what is missing, broken or not supported.
    """
    path = folder / "config.json"
    config = read_config(path)
    with naming(path):
        single, size = config.get("norm_type") == "ada_norm_single", int(config["sample_size"])
        heads = config["num_attention_heads"]
        shape = DiTConfig(
            width=heads * config["attention_head_dim"],
            depth=config["num_layers"],
            heads=heads,
            patch=config["patch_size"],
            latents=config["in_channels"],
            outputs=config["out_channels"] or 0,
            context=config["caption_channels"] if single else 0,
            classes=0 if single else config["num_embeds_ada_norm"],
            single=single,
        )
        scale = config.get("interpolation_scale") or max(size // 64, 1)
        if single and (scale != 1 or config.get("use_additional_conditions")):
            raise ValueError("stretched positions and sizes as conditions are not supported; expected neither.")
        only = COMMON | {"norm_type": "ada_norm_single" if single else "ada_norm_zero"}
        check_config(path, config, READ, only)
    return shape, from_diffusers(shape, *read_tensors(folder)), size


def write_transformer(folder: Path, config: DiTConfig, params: Params, size: int) -> None:
    """Write for `diffusers.DiTTransformer2DModel.from_pretrained`, or `PixArtTransformer2DModel`'s.

    Raises: ValueError for a network that diffusers does not have.
    """
    weights.save(folder / f"{STEMS[0]}.safetensors", to_diffusers(config, params), {"format": "pt"})
    own = {"_class_name": "DiTTransformer2DModel", "norm_type": "ada_norm_zero", "num_embeds_ada_norm": config.classes}
    text = {
        "_class_name": "PixArtTransformer2DModel",
        "norm_type": "ada_norm_single",
        "caption_channels": config.context,
        "cross_attention_dim": config.width,
        "interpolation_scale": 1,
        "use_additional_conditions": False,
    }
    fields = {
        "num_attention_heads": config.heads,
        "attention_head_dim": config.width // config.heads,
        "num_layers": config.depth,
        "in_channels": config.channels_in,
        "out_channels": config.channels_out,
        "patch_size": config.patch,
        "sample_size": size,
        "norm_eps": 1e-6,
    }
    common = COMMON if config.single else {name: v for name, v in COMMON.items() if name != "attention_type"}
    write_config(folder / "config.json", common | fields | (text if config.single else own))
