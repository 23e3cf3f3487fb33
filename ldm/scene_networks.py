"""Trains the small CLIP whose text tower conditions the UNets, and the detector that judges them.

The contrastive loss of CLIP, with two additions that it needs on scenes:

- Hard negatives. A picture tells 128 random captions apart by its colours and objects alone; so
  each picture also sees its own caption with one thing changed (objects exchanged, another style).
- Questions to both towers. The pooled caption answers what the scene's record knows (objects,
  sizes, style, kind, colours, relation), each noun tells the place of its object, and the
  picture's cells name what covers them. This makes the context rich in what a picture must show.

Only the text tower ships. The detector that judges pictures (`ldm.perceptual.scene`) is trained
here too, on its own: it has another seed and shares nothing with the small CLIP.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8
from PIL import Image, ImageFilter
from tqdm import tqdm

from ldm import weights
from ldm.autoencoder import fold, to_pixels
from ldm.layers import Conv, GroupNorm, KeySource, Linear, Params, ResBlock, merge, split
from ldm.perceptual.scene import GRID, Labels, SceneNetwork, alignment, to_side
from ldm.perceptual.scene import build as build_detector
from ldm.perceptual.scene import load as load_detector
from ldm.scenes import Scene, SceneConfig, Scenes, caption, emojis, tokens
from ldm.text import SceneTextTower, TextConfig, TextEncoder, Tokenizer
from ldm.text import load as load_text
from ldm.train import Batch, Loss, TrainConfig, init_state, make_train_step

CHANGES = ("relation", "object", "style", "kind", "colour", "place", "size")


# --- the truth as numbers ----------------------------------------------------------------------


def vocabulary(config: SceneConfig) -> tuple[str, ...]:
    """Names of the objects, in the order of their labels."""
    return tuple(emoji.caption for emoji in emojis()[: config.vocabulary])


def questions(config: SceneConfig) -> dict[str, tuple[str, ...]]:
    """What can be asked about a caption, and the possible answers ("" for: none)."""
    slots = range(1, 1 + max(i + 1 for i, p in enumerate(config.counts) if p > 0))
    rows, cols = ("", "top", "bottom"), ("", "left", "right")
    places = (f"at the {' '.join(filter(None, (r, c)))}" for r in rows for c in cols if r or c)
    relations = (
        "left of",
        "right of",
        "above",
        "below",
        "from left to right",
        "from top to bottom",
    )
    return {
        **{f"object {i}": (*vocabulary(config), "") for i in slots},
        **{f"size {i}": ("", "small", "large") for i in slots},
        "style": config.styles,
        "kind": config.kinds,
        "colour 1": config.colours,
        "colour 2": (*config.colours, ""),
        "where": (*relations, *places, "in the centre"),
    }


def answers(scene: Scene) -> dict[str, str]:
    """The answers of a scene's record; questions left out are answered by ""."""
    return {
        **{f"object {i}": thing.name for i, thing in enumerate(scene.objects, 1)},
        **{f"size {i}": thing.size for i, thing in enumerate(scene.objects, 1)},
        "style": scene.style,
        "kind": scene.kind,
        **{f"colour {i}": colour for i, colour in enumerate(scene.colours, 1)},
        "where": scene.relation or scene.place,
    }


def cells(config: SceneConfig, scenes: Sequence[Scene]) -> Int[np.ndarray, "n g g"]:
    """The object at each cell's centre: 1 + its number in the vocabulary, 0 for background."""
    numbers = {name: i for i, name in enumerate(vocabulary(config), 1)}
    centres = (np.arange(GRID) + 0.5) * config.size / GRID
    out = np.zeros((len(scenes), GRID, GRID), np.int32)
    for grid, scene in zip(out, scenes, strict=True):
        for thing in scene.objects:
            x0, y0, x1, y1 = thing.box
            xs, ys = (x0 < centres) & (centres < x1), (y0 < centres) & (centres < y1)
            grid[ys[:, None] & xs[None]] = numbers[thing.name]
    return out


def one_changed(
    config: SceneConfig, scene: Scene, what: str, rng: np.random.Generator
) -> Scene | None:
    """The record with one thing changed so that its caption no longer holds; None where it cannot.

    relation: two objects exchange places. object, style, kind, size: another one. colour: another
    one, or the two exchanged. place: the single object is elsewhere.
    """

    def other(options: Sequence[str], *current: str) -> str:
        return str(rng.choice([option for option in options if option not in current]))

    things = scene.objects
    i = int(rng.integers(len(things)))
    if what == "relation":
        if len(things) < 2:
            return None
        return replace(scene, objects=(things[1], things[0], *things[2:]))
    if what == "place":
        if len(things) > 1:
            return None
        places = [p for p in questions(config)["where"] if p.startswith(("at", "in"))]
        return replace(scene, place=other(places, scene.place))
    if what == "object":
        name = other(vocabulary(config), *(thing.name for thing in things))
        new = replace(things[i], name=name, index=emojis()[vocabulary(config).index(name)].index)
        return replace(scene, objects=(*things[:i], new, *things[i + 1 :]))
    if what == "size":
        new = replace(things[i], size=other(("", "small", "large"), things[i].size))
        return replace(scene, objects=(*things[:i], new, *things[i + 1 :]))
    if what == "style":
        return replace(scene, style=other(config.styles, scene.style))
    if what == "kind":
        kinds = [kind for kind in config.kinds if (kind == "plain") == (scene.kind == "plain")]
        return replace(scene, kind=other(kinds, scene.kind)) if len(kinds) > 1 else None
    if what == "colour":
        if len(scene.colours) == 2 and rng.random() < 0.3:
            return replace(scene, colours=scene.colours[::-1])
        j = int(rng.integers(len(scene.colours)))
        new = other(config.colours, *scene.colours)
        return replace(scene, colours=(*scene.colours[:j], new, *scene.colours[j + 1 :]))
    raise ValueError(f"what={what!r}: expected one of {CHANGES}.")


@dataclass(frozen=True, kw_only=True)
class TextSet:
    """What the dual encoder learns from: pictures, and everything about them as integers."""

    images: UInt8[np.ndarray, "n S S 3"]
    ids: Int[np.ndarray, "n length"]
    wrong: Int[np.ndarray, "n k length"]  # the captions of k different changes
    answers: Int[np.ndarray, "n questions"]
    nouns: Int[np.ndarray, "n objects"]  # position of each object's last word; -1: no more objects
    places: Int[np.ndarray, "n objects"]  # cell of each object's centre, row by row
    cells: Int[np.ndarray, "n g g"]

    @classmethod
    def of(
        cls, scenes: Scenes, images: np.ndarray, tokenizer: Tokenizer, changes: int = 3
    ) -> TextSet:
        config, rng = scenes.config, np.random.default_rng(scenes.seed)
        records = [scenes.scene(i) for i in range(len(images))]
        asked = questions(config)
        number = {name: {a: i for i, a in enumerate(options)} for name, options in asked.items()}
        slots = sum(name.startswith("object") for name in asked)
        nouns = np.full((len(records), slots), -1, np.int32)
        places = np.zeros((len(records), slots), np.int32)
        known, wrong = np.zeros((len(records), len(asked)), np.int32), []
        for i, record in enumerate(records):
            told = answers(record)
            known[i] = [number[name][told.get(name, "")] for name in asked]
            start, said = 0, tokens(caption(record))
            for j, thing in enumerate(record.objects):
                name = tokens(thing.name)
                start = next(k for k in range(start, len(said)) if said[k : k + len(name)] == name)
                start += len(name)
                nouns[i, j] = start - 1
                x, y = (int(v * GRID / config.size) for v in thing.centre)
                places[i, j] = y * GRID + x
            found: list[str] = []
            while len(found) < changes:
                # The hardest to learn, so in pairs half of the changes are of this kind.
                pair = len(record.objects) > 1 and rng.random() < 0.5
                what = "relation" if pair else CHANGES[rng.integers(len(CHANGES))]
                changed = one_changed(config, record, what, rng)
                if changed is not None:
                    found.append(caption(changed))
            wrong += found
        return cls(
            images=images,
            ids=tokenizer([caption(record) for record in records]),
            wrong=tokenizer(wrong).reshape(len(records), changes, -1),
            answers=known, nouns=nouns, places=places, cells=cells(config, records),
        )  # fmt: skip

    def batch(self, step: int, size: int, seed: int) -> Batch:
        """A function of the step: different scenes, each with one of its wrong captions."""
        rng = np.random.default_rng([seed, step])
        i = np.sort(rng.choice(len(self.images), size, replace=False))
        names = ("images", "ids", "answers", "nouns", "places", "cells")
        batch = {name: np.asarray(getattr(self, name)[i]) for name in names}
        return batch | {"wrong": self.wrong[i, rng.integers(self.wrong.shape[1], size=size)]}


# --- the two towers ----------------------------------------------------------------------------


class ImageTower(nnx.Module):
    """Pixels (b, 64, 64, 3) -> map (b, 8, 8, 2 width) and embedding (b, out), not normalised.

    Works on 4x4 patches; the embedding reads the map cell by cell: it knows where things are.
    """

    def __init__(self, width: int, outputs: int, *, keys: KeySource):
        self.conv_in = Conv(48, width, keys=keys)
        self.block1 = ResBlock(width, width, 0, 16, keys=keys)
        self.down = Conv(width, 2 * width, stride=2, keys=keys)
        self.block2 = ResBlock(2 * width, 2 * width, 0, 16, keys=keys)
        self.block3 = ResBlock(2 * width, 2 * width, 0, 16, keys=keys)
        self.norm = GroupNorm(2 * width, 16)
        self.squeeze = Conv(2 * width, 32, 1, keys=keys)
        self.proj = Linear(32 * GRID**2 + 2 * width, outputs, keys=keys)

    def __call__(self, pixels: Float[Array, "b h w 3"]) -> tuple[Array, Array]:
        x = self.block1(self.conv_in(fold(pixels, 4)))
        x = self.block3(self.block2(self.down(x)))
        x = nnx.silu(self.norm(x))
        flat = nnx.silu(self.squeeze(x)).reshape(x.shape[0], -1)
        return x, self.proj(jnp.concatenate([flat, x.mean((1, 2))], -1))


class DualEncoder(nnx.Module):
    """Both towers, the temperature, and the heads that answer questions."""

    def __init__(self, config: SceneConfig, text: TextConfig, *, width: int = 64, keys: KeySource):
        self.text = SceneTextTower(text, keys=keys)
        self.pool = Linear(text.width, 2 * text.width, keys=keys)
        self.text_proj = Linear(2 * text.width, 2 * text.width, keys=keys)
        self.image = ImageTower(width, 2 * text.width, keys=keys)
        self.logit_scale = nnx.Param(jnp.asarray(math.log(1 / 0.07), jnp.float32))
        self.answer = Linear(2 * text.width, sum(map(len, questions(config).values())), keys=keys)
        self.place = Linear(text.width, GRID**2, keys=keys)
        self.cell = Linear(2 * width, 1 + config.vocabulary, keys=keys)

    def captions(self, ids: Int[Array, "b n"]) -> tuple[Array, Array, Array]:
        """Context, its pooled features, unit embedding.

        Pooled over all positions, since the UNet sees padding too; and not linearly, since a mean
        of words alone does not know which of two objects is on the left.
        """
        context = self.text(ids)
        pooled = jax.nn.gelu(self.pool(context)).mean(1)
        return context, pooled, normalised(self.text_proj(pooled))

    def pictures(self, images: UInt8[Array, "b h w 3"]) -> tuple[Array, Array]:
        """Feature map and unit embedding."""
        features, embedding = self.image(to_pixels(images))
        return features, normalised(embedding)


def normalised(x: Float[Array, "b d"]) -> Float[Array, "b d"]:
    return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-8)


def cross_entropy(logits: Float[Array, "... c"], labels: Int[Array, " ..."]) -> Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def text_loss(structure: nnx.GraphDef, config: SceneConfig) -> Loss:
    """Contrastive loss with hard negatives, and the questions to both towers."""
    sizes = [len(options) for options in questions(config).values()]

    def loss(params: Params, batch: Batch, key: Array) -> tuple[Array, dict[str, Array]]:
        net = merge(structure, params)
        b = batch["ids"].shape[0]
        context, pooled, texts = net.captions(jnp.concatenate([batch["ids"], batch["wrong"]]))
        features, images = net.pictures(batch["images"])
        scale = jnp.exp(jnp.minimum(net.logit_scale[...], math.log(100)))
        scores = scale * images @ texts.T  # (b, 2b): the second half are the wrong captions
        truth = jnp.arange(b)
        contrast = cross_entropy(scores, truth) + cross_entropy(scores[:, :b].T, truth)

        logits = jnp.split(net.answer(pooled[:b]), np.cumsum(sizes)[:-1].tolist(), -1)
        asked = sum(cross_entropy(x, batch["answers"][:, i]).mean() for i, x in enumerate(logits))
        nouns = jnp.take_along_axis(context[:b], jnp.maximum(batch["nouns"], 0)[..., None], 1)
        mentioned = (batch["nouns"] >= 0).astype(jnp.float32)
        place = (
            cross_entropy(net.place(nouns), batch["places"]) * mentioned
        ).sum() / mentioned.sum()
        cell = cross_entropy(net.cell(features), batch["cells"]).mean()

        own = jnp.diagonal(scores)
        parts = {
            "contrast": contrast.mean() / 2,
            "answers": asked / len(sizes),
            "place": place,
            "cell": cell,
            "top 1": (scores[:, :b].argmax(1) == truth).astype(jnp.float32).mean(),
            "true over changed": (own > jnp.diagonal(scores, b)).astype(jnp.float32).mean(),
        }
        return parts["contrast"] + parts["answers"] + 0.2 * place + 2 * cell, parts

    return loss


# --- training and its examination --------------------------------------------------------------


def train_text(
    scenes: Scenes,
    config: TrainConfig,
    path: Path,
    *,
    words: Sequence[str],
    length: int = 24,
    examined: Scenes,
    folder: Path,
    every: int = 0,
) -> TextEncoder:
    """Train the dual encoder on `scenes`, write its text tower to `path`, return it.

    `folder` caches the pictures. The file's metadata holds what the tower knows about scenes it has
    not seen (`examined`).
    """
    tokenizer = Tokenizer(words=tuple(words), length=length)
    text = TextConfig(words=len(tokenizer.words), length=length)
    keys = KeySource(jax.random.key(config.seed))
    structure, params = split(DualEncoder(scenes.config, text, keys=keys))
    data = TextSet.of(scenes, scenes.cached(folder), tokenizer)
    exam = partial(examine_text, structure, tokenizer=tokenizer, scenes=examined)
    state = init_state(params, config)
    step = make_train_step(text_loss(structure, scenes.config), config)
    with tqdm(total=config.images, unit=" images", desc="text tower") as bar:
        for k in range(config.steps):
            state, logs = step(state, data.batch(k, config.batch, config.seed))
            bar.update(config.batch)
            if k % 20 == 0:
                bar.set_postfix({name: f"{float(v):.3f}" for name, v in logs.items()})
            if every and (k + 1) % every == 0:
                save_text(path, state.ema, tokenizer, exam(state.ema))
    accuracy = exam(state.ema)
    save_text(path, state.ema, tokenizer, accuracy)
    return load_text(path)


def save_text(path: Path, params: Params, tokenizer: Tokenizer, accuracy: dict[str, float]) -> None:
    """The text tower alone, in half precision, with what `ldm.text.load` needs to know."""
    tower = {
        name.removeprefix("text."): np.asarray(array, np.float16)
        for name, array in params.items()
        if name.startswith("text.")
    }
    arguments = {"words": tokenizer.words, "length": tokenizer.length}
    weights.save(path, tower, {"tower": arguments, "accuracy": accuracy})


def examine_text(
    structure: nnx.GraphDef, params: Params, *, tokenizer: Tokenizer, scenes: Scenes
) -> dict[str, float]:
    """What the dual encoder knows about scenes it has not seen; shares of 1.

    retrieval: the right caption of 100. For each change, the true caption preferred to the one with
    this thing changed (chance .5). For each question, the pooled caption's right answers.
    """
    net = merge(structure, params)
    pictures = jax.jit(lambda p, x: merge(structure, p).pictures(x)[1])
    captions = jax.jit(lambda p, x: merge(structure, p).captions(x)[1:])

    def embed(function, x: np.ndarray) -> tuple:
        return jax.tree.map(
            lambda *parts: np.concatenate(parts),
            *(jax.device_get(function(params, x[i : i + 100])) for i in range(0, len(x), 100)),
        )

    n = len(scenes) // 100 * 100
    records = [scenes.scene(i) for i in range(n)]
    images = embed(pictures, scenes.images(range(n)))
    pooled, texts = embed(captions, tokenizer([caption(record) for record in records]))
    by_hundred = np.einsum("gid,gjd->gij", *(x.reshape(n // 100, 100, -1) for x in (images, texts)))
    out = {"retrieval": float((by_hundred.argmax(-1) == np.arange(100)).mean())}

    rng = np.random.default_rng(0)
    for change in CHANGES:
        changed = [one_changed(scenes.config, record, change, rng) for record in records]
        has = np.array([c is not None for c in changed])
        said = tokenizer([caption(c or r) for c, r in zip(changed, records, strict=True)])
        others = embed(captions, said)[1]
        better = (images * texts).sum(-1) > (images * others).sum(-1)
        out[f"{change} changed"] = float(better[has].mean())

    asked = questions(scenes.config)
    ends = np.cumsum([len(options) for options in asked.values()])[:-1]
    logits = np.split(np.asarray(net.answer(jax.device_put(pooled))), ends, -1)
    for (name, options), scores in zip(asked.items(), logits, strict=True):
        truth = [options.index(answers(record).get(name, "")) for record in records]
        out[name] = float((scores.argmax(-1) == truth).mean())
    return {name: round(value, 4) for name, value in out.items()}


# --- the detector ------------------------------------------------------------------------------


def labels_of(config: SceneConfig) -> Labels:
    return Labels(
        objects=vocabulary(config), styles=config.styles, kinds=config.kinds, colours=config.colours
    )


@dataclass(frozen=True, kw_only=True)
class DetectorSet:
    """What the detector learns from: pictures and their records as integers."""

    images: UInt8[np.ndarray, "n S S 3"]
    cells: Int[np.ndarray, "n g g"]
    style: Int[np.ndarray, " n"]
    kind: Int[np.ndarray, " n"]
    colours: Float[np.ndarray, "n colours"]  # one or two of them, sum 1

    @classmethod
    def of(cls, scenes: Scenes, images: np.ndarray) -> DetectorSet:
        config = scenes.config
        records = [scenes.scene(i) for i in range(len(images))]
        colours = np.array([[c in r.colours for c in config.colours] for r in records], np.float32)
        return cls(
            images=images,
            cells=cells(config, records),
            style=np.array([config.styles.index(r.style) for r in records], np.int32),
            kind=np.array([config.kinds.index(r.kind) for r in records], np.int32),
            colours=colours / colours.sum(1, keepdims=True),
        )

    def batch(self, step: int, size: int, seed: int) -> Batch:
        """A function of the step."""
        i = np.sort(
            np.random.default_rng([seed, step]).choice(len(self.images), size, replace=False)
        )
        names = ("images", "cells", "style", "kind", "colours")
        return {name: np.asarray(getattr(self, name)[i]) for name in names}


def worsen(pixels: Float[Array, "b h w 3"], key: Array) -> Float[Array, "b h w 3"]:
    """Faults of generated pictures, so that the detector is fair to them; a third stay as they are.

    Each by a random amount a picture: softness of two kinds (binomial blur, half resolution), slow
    and fast noise, a tint and a change of contrast.
    """
    b, h, w, _ = pixels.shape
    keys = jax.random.split(key, 7)

    def amount(key: Array, most: float) -> Array:
        """Zero for half of the pictures, else up to `most`."""
        return most * jnp.maximum(jax.random.uniform(key, (b, 1, 1, 1), minval=-1.0), 0)

    def blur(x: Array) -> Array:
        for axis in (1, 2):
            before, after = (jnp.roll(x, shift, axis) for shift in (1, -1))
            x = (before + 2 * x + after) / 4
        return x

    half = pixels.reshape(b, h // 2, 2, w // 2, 2, 3).mean((2, 4))
    soft = jax.image.resize(half, pixels.shape, "linear")
    slow = jax.random.normal(keys[0], (b, h // 8, w // 8, 3))
    x = pixels + amount(keys[1], 1.0) * (blur(blur(pixels)) - pixels)
    x = x + amount(keys[2], 1.0) * (soft - pixels)
    x = x + amount(keys[3], 0.15) * jax.image.resize(slow, pixels.shape, "linear")
    x = x + amount(keys[4], 0.12) * jax.random.normal(keys[5], pixels.shape)
    tint = jax.random.normal(keys[6], (b, 1, 1, 4))
    x = x * (1 + 0.06 * tint[..., :1]) + 0.04 * tint[..., 1:]
    kept = jnp.arange(b)[:, None, None, None] < b // 3
    return jnp.where(kept, pixels, x)


def detector_loss(structure: nnx.GraphDef) -> Loss:
    """Cross-entropy of every answer."""

    def loss(params: Params, batch: Batch, key: Array) -> tuple[Array, dict[str, Array]]:
        net = merge(structure, params)
        told = net.answers(net.features(worsen(to_side(batch["images"]), key)))
        cell = cross_entropy(told["cells"], batch["cells"])
        objects = (batch["cells"] > 0).astype(jnp.float32)
        right = (told["cells"].argmax(-1) == batch["cells"]).astype(jnp.float32)
        parts = {
            "cell": cell.mean(),
            "style": cross_entropy(told["style"], batch["style"]).mean(),
            "kind": cross_entropy(told["kind"], batch["kind"]).mean(),
            "colours": optax.softmax_cross_entropy(told["colours"], batch["colours"]).mean(),
            "named": (right * objects).sum() / objects.sum(),
        }
        total = 4 * parts["cell"] + parts["style"] + parts["kind"] + parts["colours"]
        return total, parts

    return loss


def train_detector(
    scenes: Scenes,
    config: TrainConfig,
    path: Path,
    *,
    examined: Sequence[Scenes],
    folder: Path,
    width: int = 32,
    every: int = 0,
) -> SceneNetwork:
    """Train the detector on `scenes`, write it to `path`, return it.

    `folder` caches the pictures; every `every` steps the detector so far is written. The file's
    metadata holds its accuracy on `examined`, splits that it has not seen.
    """
    network = build_detector(labels_of(scenes.config), width=width, seed=config.seed)
    data = DetectorSet.of(scenes, scenes.cached(folder))
    state = init_state(network.params, config)
    step = make_train_step(detector_loss(network.structure), config)

    def write() -> None:
        trained = replace(network, params=state.ema)
        accuracy = {part.split: examine_detector(trained, part) for part in examined}
        described = {"labels": asdict(network.labels), "width": width}
        half = {name: np.asarray(array, np.float16) for name, array in state.ema.items()}
        weights.save(path, half, {"detector": described, "accuracy": accuracy})

    with tqdm(total=config.images, unit=" images", desc="detector") as bar:
        for k in range(config.steps):
            state, logs = step(state, data.batch(k, config.batch, config.seed))
            bar.update(config.batch)
            if k % 20 == 0:
                bar.set_postfix({name: f"{float(v):.3f}" for name, v in logs.items()})
            if every and (k + 1) % every == 0 and k + 1 < config.steps:
                write()
    write()
    return load_detector(path)


def examine_detector(network: SceneNetwork, scenes: Scenes) -> dict[str, float]:
    """`alignment` of real scenes with their own captions, and the same after a slight blur.

    What it misses here is the detector's own error, to be reported beside every alignment.
    """
    records = [scenes.scene(i) for i in range(len(scenes))]
    images = scenes.images(range(len(scenes)))
    blurred = np.stack([
        np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(1))) for x in images
    ])  # fmt: skip
    out = {}
    for prefix, pictures in (("", images), ("blurred ", blurred)):
        aligned = alignment(network.detect(pictures), records)
        out |= {f"{prefix}{name}": round(float(right.mean()), 4) for name, right in aligned.items()}
    return out | {"n": len(scenes)}
