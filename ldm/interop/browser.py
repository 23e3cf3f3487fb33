"""What a reader's browser needs to sample by itself: the networks as ONNX, the sampler's tables and the words, as JSON.

    text.onnx       ids (2, 24), those of a caption and of the empty one -> contexts (2, 24, 128)
    unet-c8.onnx    x, t, c_skip, c_out, contexts, scale -> x0, the guided denoiser of one picture; so each network
    dit-c48.onnx    the same, of the transformer of width 48
    decoder.onnx    x0 -> picture, uint8 (1, 32, 32, 3)
    browser.json    networks with their cost, tables, words; book/_static/playground runs it all

Everything comes from the code that the study runs: graphs by tracing it, tables by calling it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jaxtyping import Array

from ldm import paths
from ldm.data.scenes.captions import noun, words
from ldm.data.scenes.emoji import emojis
from ldm.data.scenes.record import COLS, ROWS, Thing
from ldm.diffusion.denoiser import denoiser, guided
from ldm.diffusion.schedule import preconditioning
from ldm.files import write_atomic
from ldm.interop.onnx import graph
from ldm.networks import sizes
from ldm.networks.autoencoder import Codec, to_images
from ldm.networks.structure import merge
from ldm.networks.text import TextEncoder
from ldm.networks.tokenizer import END, PAD
from ldm.profile import Profile
from ldm.profiles import OPEN_EPS, PROFILES
from ldm.tasks import models as models_tasks
from ldm.tasks import pretrain

FAMILIES = (OPEN_EPS, PROFILES["laptop-dit"])  # of one world, one prediction, one text tower and one decoder
SAMPLERS = ("ddim", "dpm++", "ddpm")
STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 32, 50)  # that the page offers
FOLDER = paths.RUNS / "cache" / "browser"
CODE = sorted(module.__file__ for name, module in sys.modules.items() if name.startswith("ldm.") and module.__file__)


def offered() -> dict[str, tuple[Profile, int]]:
    """Name every network whose model ships, family by family, small to large: "unet-c8" -> its profile and its size."""
    return {f"{of.network}-c{c}": (of, c) for of in FAMILIES for c in models_tasks.shipped_sizes(of)}


def write(folder: Path = FOLDER, names: Sequence[str] = ()) -> Path:
    """Make all files, or keep those that were made by the same code of the same weights; returns browser.json.

    names: of networks, as `offered` has them; all, unless given.
    Raises: ValueError, in one sentence, for a network whose model does not ship, or where none does.
    """
    known = offered()
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(
            f"network = {unknown[0]!r}: expected some of {', '.join(known)}, whose models ship; choose among them."
        )
    networks = {name: known[name] for name in known if name in names or not names}
    folder, made_of = Path(folder), digest(networks)
    index = folder / "browser.json"
    if index.is_file() and json.loads(index.read_text())["made_of"] == made_of:
        return index
    base = FAMILIES[0]  # the families share what follows
    codec, text = pretrain.frozen_networks(base)
    content = {
        "made_of": made_of,
        "latents": base.latent_shape,
        "picture": base.scenes.size,
        "networks": [
            described(name, *of) | keep(folder / f"{name}.onnx", network_graph(*of)) for name, of in networks.items()
        ],
        "text": keep(folder / "text.onnx", text_graph(base, text)),
        "decoder": keep(folder / "decoder.onnx", decoder_graph(base, codec)),
        "guidance": base.guidance,
        "samplers": {name: tables(base, name) for name in SAMPLERS},
        "words": vocabulary(base, text),
    }
    return write_atomic(index, json.dumps(content, separators=(",", ":")).encode())  # last: it vouches for the others


def described(name: str, profile: Profile, c: int) -> dict[str, str | int | float]:
    """Return what the page says of a network: its name, its family, its size, what it holds and what a pass costs."""
    kind, shape = profile.network, (profile.latent_shape[0], profile.tokens, profile.context)
    return {
        "name": name,
        "family": "transformers" if kind in sizes.PATCHES else "UNets",
        "title": f"width {c}" if kind in sizes.PATCHES else f"c = {c}",
        "params": sizes.params(kind, c, profile.context),
        "cost": sizes.norm_cost(kind, c, *shape),
    }


def digest(networks: Mapping[str, tuple[Profile, int]]) -> str:
    """Return a hash of the weights and the code that the files are made of."""
    models = [path for of, c in networks.values() if (path := models_tasks.file_of(of, c, of.length))]
    parts = models_tasks.frozen_files(FAMILIES[0])
    content = b"".join(Path(path).read_bytes() for path in [*models, *parts, *CODE, __file__])
    return hashlib.blake2b(content + str(list(networks)).encode(), digest_size=8).hexdigest()


def keep(path: Path, model: onnx.ModelProto) -> dict[str, str | int]:
    """Write a graph, and return its name and its size, which a reader sees before loading it."""
    data = model.SerializeToString()
    write_atomic(path, data)
    return {"file": path.name, "bytes": len(data)}


def of(*shape: int, dtype: type = jnp.float32) -> jax.ShapeDtypeStruct:
    """Return the shape of an input of a graph."""
    return jax.ShapeDtypeStruct(shape, dtype)


def network_graph(profile: Profile, c: int) -> onnx.ModelProto:
    """Return the guided denoiser of one picture. Raises: ValueError where there is no trained model of size c."""
    structure, params = pretrain.load_pretrained(profile, c, profile.length, unrolled=True)  # a graph has no loops

    def denoise(x: Array, t: Array, c_skip: Array, c_out: Array, contexts: Array, scale: Array) -> Array:
        net = denoiser(merge(structure, params))
        return guided(net, contexts[1:], scale)(x, t, c_skip, c_out, contexts[:1])

    inputs = {
        "x": of(1, *profile.latent_shape),
        "t": of(1),
        "c_skip": of(),
        "c_out": of(),
        "contexts": of(2, profile.tokens, profile.context),
        "scale": of(),
    }
    return graph(denoise, inputs, "x0")


def text_graph(profile: Profile, text: TextEncoder) -> onnx.ModelProto:
    """Return the text tower on a caption and on the empty one."""
    ids = {"ids": of(2, profile.tokens, dtype=jnp.int32)}
    return graph(lambda ids: merge(text.structure, text.params)(ids), ids, "contexts")


def decoder_graph(profile: Profile, codec: Codec) -> onnx.ModelProto:
    """Return the graph from latents to a picture."""

    def decode(x0: Array) -> Array:
        return to_images(merge(codec.structure, codec.params).decode(x0 / np.float32(codec.scale)))

    return graph(decode, {"x0": of(1, *profile.latent_shape)}, "picture")


def tables(profile: Profile, sampler: str) -> dict[int, list[list[float]]]:
    """Return steps -> rows [t, c_skip, c_out, x, x0, x0_prev, z].

    They are the table of `ldm.diffusion.solvers` with `schedule.preconditioning`.
    """
    found = {}
    for steps in STEPS:
        table = profile.plan(sampler, steps)
        if np.any(table.x0_prev2):
            raise ValueError(f"sampler = {sampler!r}: expected one that looks back one step at most; choose ddim.")
        skip, out = preconditioning(profile.predict, table.alpha, table.sigma)
        columns = np.stack([table.t, skip, out, table.x, table.x0, table.x0_prev, table.z], 1)[: table.n]
        found[steps] = [[float(f"{value:.9g}") for value in row] for row in columns]  # 9 digits are a float32
    return found


def vocabulary(profile: Profile, text: TextEncoder) -> dict[str, object]:
    """Return what captions are made of, and the number of each word for the text tower.

    Captions are those of `ldm.data.scenes.captions.caption`.
    """
    scenes = profile.scenes
    named = sorted(emojis()[: scenes.vocabulary], key=lambda emoji: emoji.caption)
    phrase = lambda emoji, size: noun(
        Thing(name=emoji.caption, index=emoji.index, size=size, box=(0, 0, 0, 0), angle=0, flip=False)
    )
    corners = [" ".join(filter(None, (row, col))) for row in ROWS for col in COLS]
    every = list(words(scenes))
    known = dict(zip(every, text.tokenizer(every)[:, 0].tolist(), strict=True))
    return {
        "subjects": {emoji.caption: {size: phrase(emoji, size) for size in ("", "small", "large")} for emoji in named},
        "places": ["in the centre", *(f"at the {corner}" for corner in corners if corner)],
        "relations": ["left of", "right of", "above", "below"],
        "styles": scenes.styles,
        "kinds": scenes.kinds,
        "colours": scenes.colours,
        "ids": known,
        "length": profile.tokens,
        "pad": PAD,
        "end": END,
    }
