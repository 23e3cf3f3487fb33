"""Trains the small CLIP on scenes; its text tower, frozen, conditions the UNets.

The contrastive loss of CLIP (Radford et al. 2021), with two additions that it needs on scenes:

- Hard negatives. A picture tells 128 random captions apart by its colours and objects alone; so
  each picture also sees its own caption with one thing changed (objects exchanged, another style).
- Questions to both towers. The pooled caption answers what the scene's record knows (objects,
  sizes, style, kind, colours, relation), each noun tells the place of its object, and the
  picture's cells name what covers them. This makes the context rich in what a picture must show.

Both towers ship: the text tower by itself, and what else judges how a picture fits a caption (`scene_clip.load_clip`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, UInt8

from ldm import paths
from ldm.data.scenes.captions import caption, tokens, words
from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.truth import CHANGES, GRID, answered, cells, one_changed, questions, untrue
from ldm.diffusion.losses import Batch, DeviceBatch
from ldm.networks import weights
from ldm.networks.autoencoder import to_side
from ldm.networks.batched import in_batches
from ldm.networks.initial import KeySource
from ldm.networks.layers import Linear
from ldm.networks.scene_clip import SIDE, WIDTH, SceneClip, save_clip
from ldm.networks.structure import Params, Structure, merge, split
from ldm.networks.text import TextConfig, TextEncoder, load_text_encoder
from ldm.networks.tokenizer import Tokenizer
from ldm.profile import Profile
from ldm.tasks.models import part_file, run_folder
from ldm.training.loop import Loss, TrainConfig, fit

TRAINING = TrainConfig(
    images=110_000, batch=128, warmup_images=6_000, decay_images=40_000, seed=1
)  # 13 minutes on one core


@dataclass(frozen=True, kw_only=True)
class TextSet:
    """What the dual encoder learns from: pictures, and everything about them as integers."""

    images: UInt8[np.ndarray, "n S S 3"]
    ids: Int[np.ndarray, "n length"]
    wrong: Int[np.ndarray, "n k length"]  # the captions of k different changes
    answers: Int[np.ndarray, "n questions"]  # -1: the caption leaves it open
    nouns: Int[np.ndarray, "n objects"]  # position of each object's last word; -1: no more objects are mentioned
    places: Int[np.ndarray, "n objects"]  # cell of each object's centre, row by row
    cells: Int[np.ndarray, "n g g"]

    @classmethod
    def of(cls, scenes: Scenes, images: np.ndarray, tokenizer: Tokenizer, changes: int = 3) -> TextSet:
        """Return the set of these scenes' pictures, captions, wrong captions and answers."""
        config, rng = scenes.config, np.random.default_rng(scenes.seed)
        records = [scenes.scene(i) for i in range(len(images))]
        quiz = questions(config)
        number = {name: {a: i for i, a in enumerate(options)} for name, options in quiz.items()}
        slots = sum(name.startswith("object") for name in quiz)
        nouns = np.full((len(records), slots), -1, np.int32)
        places = np.zeros((len(records), slots), np.int32)
        known, wrong = np.full((len(records), len(quiz)), -1, np.int32), []
        for i, record in enumerate(records):
            parts = scenes.said(i)
            answers = answered(config, record, parts)
            known[i] = [number[name][answers[name]] if name in answers else -1 for name in quiz]
            start, words = 0, tokens(caption(record, parts))
            for j, thing in enumerate(record.objects if "other" in parts else record.objects[:1]):
                name = tokens(thing.name)
                start = next(k for k in range(start, len(words)) if words[k : k + len(name)] == name)
                start += len(name)
                nouns[i, j] = start - 1
                x, y = (int(v * GRID / config.size) for v in thing.centre)
                places[i, j] = y * GRID + x
            wrong += [untrue(config, record, parts, rng) for _ in range(changes)]
        return cls(
            images=images,
            ids=tokenizer(scenes.captions(range(len(records)))),
            wrong=tokenizer(wrong).reshape(len(records), changes, -1),
            answers=known,
            nouns=nouns,
            places=places,
            cells=cells(config, records),
        )

    def batch(self, seed: int, step: int, size: int) -> Batch:
        """Return the batch of a step, by (seed, step) alone: different scenes, each with one of its wrong captions."""
        rng = np.random.default_rng([seed, step])
        i = np.sort(rng.choice(len(self.images), size, replace=False))
        names = ("images", "ids", "answers", "nouns", "places", "cells")
        batch = {name: np.asarray(getattr(self, name)[i]) for name in names}
        return batch | {"wrong": self.wrong[i, rng.integers(self.wrong.shape[1], size=size)]}


class DualEncoder(SceneClip):
    """The small CLIP with the heads that answer questions in its training."""

    def __init__(self, config: SceneConfig, text: TextConfig, *, width: int = WIDTH, keys: KeySource):
        super().__init__(text, width=width, keys=keys)
        self.answer = Linear(2 * text.width, sum(map(len, questions(config).values())), keys=keys)
        self.place = Linear(text.out, GRID**2, keys=keys)
        self.cell = Linear(2 * width, 1 + config.vocabulary, keys=keys)


def cross_entropy(logits: Float[Array, "... c"], labels: Int[Array, " ..."]) -> Array:
    """Return the cross-entropy of logits (..., c) with whole-number labels."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def text_loss(structure: Structure, config: SceneConfig) -> Loss:
    """Return the contrastive loss with hard negatives, and that of the questions to both towers."""
    sizes = [len(options) for options in questions(config).values()]

    def loss(params: Params, batch: DeviceBatch, key: Array) -> tuple[Array, dict[str, Array]]:
        net = merge(structure, params)
        b = batch["ids"].shape[0]
        context, pooled, texts = net.captions(jnp.concatenate([batch["ids"], batch["wrong"]]))
        features, images = net.pictures(to_side(batch["images"], SIDE))
        scale = jnp.exp(jnp.minimum(net.logit_scale[...], math.log(100)))
        scores = scale * images @ texts.T  # (b, 2b): the second half are the wrong captions
        truth = jnp.arange(b)
        # Short captions repeat themselves: what says the same as a picture's own caption is not wrong.
        same = (batch["ids"][:, None] == jnp.concatenate([batch["ids"], batch["wrong"]])[None]).all(-1)
        scores = jnp.where(same & ~jnp.eye(b, 2 * b, dtype=bool), -1e9, scores)
        contrast = cross_entropy(scores, truth) + cross_entropy(scores[:, :b].T, truth)

        logits = jnp.split(net.answer(pooled[:b]), np.cumsum(sizes)[:-1].tolist(), -1)
        known = (batch["answers"] >= 0).astype(jnp.float32)
        wrong = [cross_entropy(x, jnp.maximum(batch["answers"][:, i], 0)) for i, x in enumerate(logits)]
        asked = (jnp.stack(wrong, 1) * known).sum() / known.sum()
        nouns = jnp.take_along_axis(context[:b], jnp.maximum(batch["nouns"], 0)[..., None], 1)
        mentioned = (batch["nouns"] >= 0).astype(jnp.float32)
        place = (cross_entropy(net.place(nouns), batch["places"]) * mentioned).sum() / mentioned.sum()
        cell = cross_entropy(net.cell(features), batch["cells"]).mean()

        own = jnp.diagonal(scores)
        terms = {
            "contrast": contrast.mean() / 2,
            "answers": asked,
            "place": place,
            "cell": cell,
            "top 1": (scores[:, :b].argmax(1) == truth).astype(jnp.float32).mean(),
            "true over changed": (own > jnp.diagonal(scores, b)).astype(jnp.float32).mean(),
        }
        return terms["contrast"] + terms["answers"] + 0.2 * place + 2 * cell, terms

    return loss


def train_text(profile: Profile, images: int = 0) -> TextEncoder:
    """Train the dual encoder, resuming where it stopped, and write its text tower, and what else it has.

    The pictures have 64 px at every profile: captions do not depend on size, and more can be seen.
    """
    config = replace(TRAINING, images=images or TRAINING.images)
    scenes = Scenes(replace(profile.scenes, size=SIDE), "train", profile.frozen_data, level=profile.level)
    tokenizer = Tokenizer(words=words(profile.scenes), length=profile.tokens)
    text = TextConfig(words=len(tokenizer.words), length=profile.tokens, context=profile.context)
    keys = KeySource(jax.random.key(config.seed))
    structure, params = split(DualEncoder(scenes.config, text, keys=keys))
    data = TextSet.of(scenes, scenes.cached(paths.RUNS / "cache"), tokenizer)
    state = fit(
        text_loss(structure, scenes.config),
        params,
        lambda step: data.batch(config.seed, step, config.batch),
        config,
        folder=run_folder(profile, "train-text"),
        title="text tower",
    )
    accuracy = examine_text(structure, state.ema, tokenizer, replace(scenes, split="val", n=1000, level="all"))
    if profile.level != "all":
        there = examine_text(structure, state.ema, tokenizer, replace(scenes, split="val", n=1000))
        accuracy |= {f"{name}, where {profile.level} is said": value for name, value in there.items()}
    path = part_file(profile, "text")
    save_text(path, state.ema, tokenizer, accuracy, context=text.out)
    save_clip(part_file(profile, "clip"), state.ema, path)
    return load_text_encoder(path)


def save_text(path: Path, params: Params, tokenizer: Tokenizer, accuracy: dict[str, float], **shape: int) -> None:
    """Write the text tower alone, in half precision, with what `ldm.networks.text.load_text_encoder` needs to know."""
    tower = {name.removeprefix("text."): array for name, array in params.items() if name.startswith("text.")}
    arguments = {"words": tokenizer.words, "length": tokenizer.length, **shape}
    weights.save_half(path, tower, {"tower": arguments, "accuracy": accuracy})


def examine_text(structure: Structure, params: Params, tokenizer: Tokenizer, scenes: Scenes) -> dict[str, float]:
    """Return what the dual encoder knows about scenes it has not seen; shares of 1.

    retrieval: the right caption of 100, or one of the same words. For each change, the true caption preferred to the
    one with this thing changed (chance .5). For each question, the pooled caption's right answers, where it is told.
    """
    net = merge(structure, params)
    pictures = jax.jit(lambda p, x: merge(structure, p).pictures(to_side(x, SIDE))[1])
    captions = jax.jit(lambda p, x: merge(structure, p).captions(x)[1:])

    def embed(function: Callable[[Params, Any], Any], x: np.ndarray) -> Any:
        return in_batches(partial(function, params), x, batch=100)

    n = len(scenes) // 100 * 100
    records, parts = [scenes.scene(i) for i in range(n)], [scenes.said(i) for i in range(n)]
    truth = scenes.captions(range(n))
    images = embed(pictures, scenes.images(range(n)))
    pooled, texts = embed(captions, tokenizer(truth))
    by_hundred = np.einsum("gid,gjd->gij", *(x.reshape(n // 100, 100, -1) for x in (images, texts)))
    said = np.array(truth).reshape(n // 100, 100)
    out = {"retrieval": float((np.take_along_axis(said, by_hundred.argmax(-1), 1) == said).mean())}

    rng = np.random.default_rng(0)
    for change in CHANGES:
        changed = [one_changed(scenes.config, record, change, rng) for record in records]
        others = [caption(c or r, p) for c, r, p in zip(changed, records, parts, strict=True)]
        has = np.array([a != b for a, b in zip(truth, others, strict=True)])
        if change == "relation":
            has &= ["where" in p for p in parts]
        better = (images * texts).sum(-1) > (images * embed(captions, tokenizer(others))[1]).sum(-1)
        out[f"{change} changed"] = float(better[has].mean())

    quiz = questions(scenes.config)
    known = [answered(scenes.config, record, p) for record, p in zip(records, parts, strict=True)]
    ends = np.cumsum([len(options) for options in quiz.values()])[:-1]
    logits = np.split(np.asarray(net.answer(jax.device_put(pooled))), ends, -1)
    for (name, options), scores in zip(quiz.items(), logits, strict=True):
        right = [options[k] == facts[name] for k, facts in zip(scores.argmax(-1), known, strict=True) if name in facts]
        out[name] = float(np.mean(right))
    return {name: round(value, 4) for name, value in out.items()}
