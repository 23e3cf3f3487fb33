"""DreamBooth: a model learns one subject from a few pictures (Ruiz et al. 2023, arXiv:2208.12242; Mei et al. 2024, 3.2).

The subject is called by a rare token and the noun of its class. Beside its pictures the model sees pictures of the
class that it drew itself beforehand, so that the class is not forgotten (prior preservation). The paper shows
pictures of the result; here it is measured how like the subject they are, whether they follow their captions, how
much they differ among each other, and what has become of the class.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float, UInt8

from ldm import likeness
from ldm.captions import caption
from ldm.data import batch_indices
from ldm.generate import Generator, plan
from ldm.judges import Score
from ldm.keys import key
from ldm.layers import Params, Structure, merge
from ldm.losses import diffusion_loss
from ldm.metrics import mean
from ldm.parallel import Layout
from ldm.profiles import Profile
from ldm.results import Row
from ldm.scene import Scene
from ldm.schedule import Schedule
from ldm.study import Evaluation, Laboratory
from ldm.subjects import KIN, Subject, asked, lineup, of_class, own, subject
from ldm.train import Batch, Loss, TrainConfig, fit

Variant = Literal["truth", "before", "no prior", "prior", "prior and text"]
TUNED: tuple[Variant, ...] = ("prior", "no prior", "prior and text")
TEXT = "text/"  # before the names of the text tower's parameters, where it learns too
KEPT = (4, 2)  # pictures of each cell to look at: of the subject, and of its class


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a subject is learnt, at every size."""

    learning_rate: float = 1e-3  # that of pretraining
    pictures: int = 4  # of the subject in a batch, and as many of its class
    weight: float = 1.0  # of the class's loss: lambda of Ruiz et al. 2023, eq. 2
    drawn: int = 64  # pictures of the class, drawn beforehand


@dataclass(frozen=True, kw_only=True)
class DreamBooth(Evaluation):
    """One point: a model that has learnt a subject for `tuned` steps, asked for n pictures of it and n of its class.

    variant: "prior" learns with prior preservation, "no prior" without, "prior and text" with the text tower as well;
    "before" is the model as pretrained, "truth" real pictures, seen through the autoencoder.
    """

    subject: str  # a held-out emoji, or a folder (`ldm.subjects.subject`)
    variant: Variant = "prior"
    tuned: int = 0
    split: str = "subjects"

    def __post_init__(self):
        super().__post_init__()
        if self.variant not in ("truth", "before", *TUNED):
            raise ValueError(f"variant = {self.variant!r}: expected truth, before or one of {', '.join(map(repr, TUNED))}.")
        if (self.tuned > 0) != (self.variant in TUNED) or not 0 <= self.tuned <= 10_000:
            raise ValueError(
                f"tuned = {self.tuned} steps of {self.variant!r}: expected 1 to 10000, and 0 for the model as it was before."
            )
        if self.n % 2:
            raise ValueError(f"n = {self.n}: expected an even number of pictures, since every caption is drawn twice.")


def pictures(scale: Profile) -> int:
    """How many of a subject judge a model, unless told otherwise."""
    return max(16, scale.n // 8)


def grid(
    scale: Profile, sizes: Sequence[int], subjects: Sequence[str], variants: Sequence[Variant], tuned: Sequence[int], *,
    steps: int, guidance: float, n: int,
) -> list[DreamBooth]:  # fmt: skip
    """Every size x variant x subject x finetuning length, before it, and the truth of emoji (under the smallest size).

    The longest finetuning comes first: the shorter ones are taken from it.
    """
    common = dict(study="dreambooth", profile=scale.name, images=scale.length, steps=steps, guidance=float(guidance), n=n)
    cell = lambda c, name, **of: DreamBooth(c=c, subject=name, **common, **of)
    return [
        *(cell(min(sizes), name, variant="truth") for name in subjects if name in KIN),
        *(cell(c, name, variant="before") for c in sizes for name in subjects),
        *(
            cell(c, name, variant=variant, tuned=length)
            for c in sizes for variant in variants for name in subjects for length in sorted(tuned, reverse=True)
        ),
    ]  # fmt: skip


def with_text(loss: Loss, tower: Structure) -> Loss:
    """The loss of UNet and text tower together: the batch has "ids" (b, m) in place of contexts."""

    def joint(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        text = {name.removeprefix(TEXT): p for name, p in params.items() if name.startswith(TEXT)}
        unet = {name: p for name, p in params.items() if not name.startswith(TEXT)}
        return loss(unet, batch | {"context": merge(tower, text)(batch["ids"])}, key)

    return joint


def batches(of_subject: Batch, of_class: Batch, pictures: int, weight: float) -> Callable[[int], Batch]:
    """step -> a batch of so many pictures of the subject and as many of the class, these weighted.

    The mean over such a batch is half of L_subject + lambda L_class (Ruiz et al. 2023, eq. 2). Of weight 0 the class
    is not learnt, while subject, noise and compiled program stay the same.
    """

    def batch(step: int) -> Batch:
        parts = []
        for data, factor in ((of_subject, 1.0), (of_class, weight)):
            rows = batch_indices(0, step, pictures, len(data["latents"]))
            parts.append({name: x[rows] for name, x in data.items()} | {"weight": np.full(pictures, factor, np.float32)})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return batch


def finetune(
    loss: Loss, params: Params, batch: Callable[[int], Batch], recipe: Recipe, lengths: Sequence[int], layout: Layout | None = None
) -> dict[int, Params]:
    """The averaged weights after each of these numbers of steps, by the one training loop; the rate is constant.

    `layout`: the devices of this process to train on, else the first one.
    """
    size, kept = len(batch(0)["latents"]), {}
    config = TrainConfig(
        images=max(lengths) * size, batch=size, learning_rate=recipe.learning_rate, warmup_images=10 * size,
        decay_images=max(lengths) * size,
    )  # fmt: skip

    def keep(images: int, ema: Params) -> None:
        kept[images // size] = {name: np.array(p) for name, p in ema.items()}  # a copy: the step gives its memory away

    start = {name: np.array(p) for name, p in params.items()}
    lengths = [length * size for length in lengths]
    if layout:
        layout.rows(size)  # refuses a batch that cannot be spread
    fit(loss, start, batch, config, layout=layout, lengths=lengths, on_length=keep, title="dreambooth")
    return kept


class Booth(Laboratory):
    """A laboratory for `DreamBooth` cells.

    Cells that differ in `tuned` alone share one training, if the longest comes first (`grid`); `lengths` are those
    that a training keeps. `layout`: the devices to train on (`finetune`).
    """

    def __init__(self, scale: Profile, lengths: Sequence[int] = (), recipe: Recipe | None = None, layout: Layout | None = None):
        super().__init__(scale)
        self.layout = layout
        self.lengths, self.recipe = tuple(lengths), recipe or Recipe()
        self.subject = cache(lambda name: self._readable(subject(scale, name)))
        self._loss = lru_cache(maxsize=1)(self._loss)
        self._learnt = lru_cache(maxsize=1)(self._learnt)
        self._class_latents = lru_cache(maxsize=32)(self._class_latents)
        self._lineup = lru_cache(maxsize=32)(self._lineup)
        self._before = lru_cache(maxsize=32)(self.draw)

    def _readable(self, who: Subject) -> Subject:
        self.text.tokenizer(who.captions)  # refuses unknown words
        return who

    def key(self, cell: DreamBooth) -> str:
        """The cell's name: its fields, the model, the subject's pictures, the recipe."""
        of = self.subject(cell.subject)
        return key(cell, model=super().key(cell), subject=of.key, noun=of.noun, recipe=str(asdict(self.recipe)))

    # --- learning ---

    def _loss(self, structure: Structure, text: bool) -> Loss:
        loss = diffusion_loss(structure, Schedule.sd(), self.scale.predict, null=self.text.null(1)[0], drop=0.0)
        return with_text(loss, self.text.structure) if text else loss

    def _class_latents(self, cell: DreamBooth) -> tuple[list[str], Float[np.ndarray, "k h w z"]]:
        """What the pretrained model draws of the class, in all styles, with its captions."""
        who = self.subject(cell.subject)
        scenes = asked(self.scale, who, self.recipe.drawn, every_style=True, seed=1)
        captions = [caption(of_class(scene, who.noun)) for scene in scenes]
        table = plan(cell.sampler, cell.steps, self.scale.spacing)
        drawn = self._generator(cell).latents(self.text.encode(captions), table, cell.guidance, seed=1)
        return captions, np.concatenate(list(drawn))

    def _learnt(self, cell: DreamBooth) -> dict[int, Params]:
        """All lengths up to the cell's, of one training."""
        who, text = self.subject(cell.subject), cell.variant == "prior and text"
        model = self._model(*self.model_of(cell))
        words = lambda captions: {"ids": self.text.tokenizer(captions)} if text else {"context": self.text.encode(captions)}
        of_subject = {"latents": self.codec.encode(who.pictures), **words(who.captions)}
        captions, latents = self._class_latents(replace(cell, variant="before", tuned=0))
        of_class = {"latents": latents, **words(captions)}
        batch = batches(of_subject, of_class, self.recipe.pictures, 0.0 if cell.variant == "no prior" else self.recipe.weight)
        params = model.params | ({TEXT + name: p for name, p in self.text.params.items()} if text else {})
        lengths = sorted({cell.tuned, *(length for length in self.lengths if length < cell.tuned)})
        return finetune(self._loss(model.structure, text), params, batch, self.recipe, lengths, self.layout)

    def _generator(self, cell: DreamBooth) -> Generator:
        model = self._model(*self.model_of(cell))
        if cell.variant not in TUNED:
            return model
        longest = max([cell.tuned, *self.lengths])
        params = self._learnt(replace(cell, tuned=longest))[cell.tuned]
        tower = {name.removeprefix(TEXT): p for name, p in params.items() if name.startswith(TEXT)}
        text = replace(self.text, params=tower) if tower else self.text
        return replace(model, params={name: p for name, p in params.items() if not name.startswith(TEXT)}, text=text)

    # --- judging ---

    def scenes(self, cell: DreamBooth) -> list[Scene]:
        """What the cell's n captions ask for: n / 2 scenes, then the same again."""
        return 2 * asked(self.scale, self.subject(cell.subject), cell.n // 2)

    def draw(self, cell: DreamBooth) -> UInt8[np.ndarray, "2n H W 3"]:
        """n pictures of the subject, then n of its class in the same scenes; picture i always from the same noise."""
        noun, scenes = self.subject(cell.subject).noun, self.scenes(cell)
        captions = [own(scene, noun) for scene in scenes] + [caption(of_class(scene, noun)) for scene in scenes]
        table = plan(cell.sampler, cell.steps, self.scale.spacing)
        return np.concatenate(list(self._generator(cell).images(captions, table, cell.guidance, seed=cell.noise)))

    def _lineup(self, name: str, n: int) -> tuple[list[str], UInt8[np.ndarray, "m n S S 3"], dict[str, np.ndarray]]:
        """Names, pictures and features of all things in the subject's place, as the autoencoder shows them."""
        who = self.subject(name)
        names, true = lineup(self.scale.scenes, asked(self.scale, who, n), who.noun)
        seen = np.stack([self.codec.decode(self.codec.encode(pictures)) for pictures in true])
        looks = {"effnet": self.judges.effnet, "scene": self.judges.scene}
        return names, seen, {net: np.stack([look(pictures) for pictures in seen]) for net, look in looks.items()}

    def evaluate(self, cell: DreamBooth) -> tuple[Score, np.ndarray, float]:
        """All measures of `ldm.likeness`; of the class, those whose names begin so; and diversity."""
        began = time.monotonic()
        who, n, scenes = self.subject(cell.subject), cell.n, self.scenes(cell)
        networks = {"effnet": self.judges.effnet, "scene": self.judges.scene}
        if cell.variant == "truth":
            names, seen, _ = self._lineup(cell.subject, n // 2)
            pictures = np.concatenate([seen[names.index(name)] for name in (who.name, who.name, who.noun, who.noun)])
        else:
            pictures = self.draw(cell)
        looks = {name: (network(pictures[:n]), network(pictures[n:])) for name, network in networks.items()}
        of_subject, of_class = ({name: look[i] for name, look in looks.items()} for i in (0, 1))
        parts = likeness.similarity(of_subject, networks, who.pictures)
        parts |= likeness.obedience(self.judges.scene.detect(pictures[:n]), scenes)
        parts["class_kept"] = likeness.kept(self.judges.scene.detect(pictures[n:]), who.noun)
        if who.emoji:
            names, _, things = self._lineup(cell.subject, n // 2)
            twice = {name: np.tile(x, (1, 2, 1)) for name, x in things.items()}
            parts |= likeness.recognition(of_subject, twice, names.index(who.name))
            leaked = likeness.recognition(of_class, twice, names.index(who.name))
            parts["class_leak"] = leaked["recognised_scene"]
        if cell.variant != "truth":
            parts["diversity"] = 1 - likeness.cosine(of_subject["effnet"][: n // 2], of_subject["effnet"][n // 2 :])
        if cell.variant in TUNED:
            before = self._before(replace(cell, variant="before", tuned=0))
            parts["class_drift"] = 1 - likeness.cosine(of_class["effnet"], self.judges.effnet(before[n:]))
        by_effnet = ("similar_effnet", "true_effnet", "wrong_effnet", "recognised_effnet", "diversity", "class_drift")
        estimates = {
            name: (mean(values), networks["effnet" if name in by_effnet else "scene"].protocol) for name, values in parts.items()
        }
        kept = np.concatenate([pictures[: KEPT[0]], pictures[n : n + KEPT[1]]])
        return Score(estimates=estimates, parts=parts), kept, time.monotonic() - began

    def rows(self, cell: DreamBooth, score: Score, seconds: float) -> list[Row]:
        """One row a measure; `task` is the variant, `train_steps` the steps of finetuning."""
        who = self.subject(cell.subject)
        how = f"{cell.n // 2} captions, twice each; {len(who.pictures)} pictures of {cell.subject} as sks {who.noun}"
        return [
            replace(row, task=cell.variant, train_steps=cell.tuned, protocol=f"{row.protocol}; {how}")
            for row in super().rows(cell, score, seconds)
        ]
