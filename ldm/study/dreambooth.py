"""The DreamBooth study: subjects taught to every size, and what the pictures show of them (Fig. 6 of the paper)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from ldm.data.scenes.captions import caption
from ldm.data.scenes.record import Scene
from ldm.hashing import key
from ldm.metrics import mean
from ldm.networks import tokenizer
from ldm.profile import Profile
from ldm.study import likeness
from ldm.study.sampling import Evaluation, SamplingEvaluator
from ldm.study.scene_metrics import Measurement
from ldm.tasks import models
from ldm.tasks.dreambooth_recipe import WAYS, Recipe, Variant, Way
from ldm.tasks.subjects import KIN, TOKEN, Subject, lineup, of_class, own, requests, subject

if TYPE_CHECKING:
    from ldm.networks.structure import Params, Structure
    from ldm.tasks.dreambooth import Taught
    from ldm.tasks.generate import Generator
    from ldm.training.loop import Loss

TUNED = tuple(WAYS)
SOME_SIZES = (16, 32)  # of which ways to learn are asked that not all sizes are asked of
KEPT = (4, 2)  # pictures of each cell to look at: of the subject, and of its class


@dataclass(frozen=True, kw_only=True)
class DreamBooth(Evaluation):
    """One point: a model that has learnt a subject for `tuned` steps, asked for n pictures of it and n of its class.

    variant: a way to learn (`ldm.tasks.dreambooth_recipe.WAYS`); "before" is the model as pretrained, "truth" real
    pictures, seen through the autoencoder.
    """

    subject: str  # a held-out emoji, or a folder (`ldm.tasks.subjects.subject`)
    variant: Variant = "prior"
    tuned: int = 0
    split: str = "subjects"

    def __post_init__(self):
        super().__post_init__()
        if self.variant not in ("truth", "before", *TUNED):
            raise ValueError(
                f"variant = {self.variant!r}: expected truth, before or one of {', '.join(map(repr, TUNED))}."
            )
        if (self.tuned > 0) != (self.variant in TUNED) or not 0 <= self.tuned <= 10_000:
            raise ValueError(
                f"tuned = {self.tuned} steps of {self.variant!r}: expected 1 to 10000, and 0 for the model as it was"
                " before."
            )
        if self.n % 2:
            raise ValueError(f"n = {self.n}: expected an even number of pictures, since every caption is drawn twice.")


def pictures(profile: Profile) -> int:
    """Return how many of a subject judge a model, unless told otherwise."""
    return max(16, profile.n // 8)


def dreambooth_grid(
    profile: Profile,
    sizes: Sequence[int],
    subjects: Sequence[str],
    variants: Sequence[Variant],
    tuned: Sequence[int],
    *,
    steps: int,
    guidance: float,
    n: int,
    seed: int = 0,
) -> list[DreamBooth]:
    """Return every size x variant x subject x finetuning length, and before any finetuning.

    The truth of emoji stands under the smallest size and the first seed. The longest finetuning comes first: the
    shorter ones are taken from it. seed: of the pretrained model, and of what it learns then.
    """
    common = dict(
        study="dreambooth",
        profile=profile.name,
        images=profile.length,
        seed=seed,
        steps=steps,
        guidance=float(guidance),
        n=n,
    )
    cell = lambda c, name, **of: DreamBooth(c=c, subject=name, **common, **of)
    return [
        *(cell(min(sizes), name, variant="truth") for name in subjects if name in KIN and seed == 0),
        *(cell(c, name, variant="before") for c in sizes for name in subjects),
        *(
            cell(c, name, variant=variant, tuned=length)
            for c in sizes
            for variant in variants
            for name in subjects
            for length in sorted(tuned, reverse=True)
        ),
    ]


def study_grid(
    profile: Profile,
    sizes: Sequence[int],
    subjects: Sequence[str],
    ways: Sequence[Variant],
    more: Sequence[Variant],
    tuned: Sequence[int],
    **how: Any,
) -> list[DreamBooth]:
    """Return the grid of `ways` at all sizes, and of the ways `more` at `SOME_SIZES` alone; how: as of the grid."""
    few = [c for c in sizes if c in SOME_SIZES]
    beyond = dreambooth_grid(profile, few, subjects, more, tuned, **how) if few and more else []
    cells = dreambooth_grid(profile, sizes, subjects, ways, tuned, **how)
    return cells + [cell for cell in beyond if cell.variant in more]


class DreamBoothEvaluator(SamplingEvaluator):
    """Teaches a subject to a model, asks it for pictures, and measures what they show.

    Cells that differ in `tuned` alone share one training, if the longest comes first (`dreambooth_grid`); `lengths` are
    those that a training keeps.
    """

    def __init__(self, profile: Profile, lengths: Sequence[int] = (), recipe: Recipe | None = None):
        super().__init__(profile)
        self.lengths, self.recipe = tuple(lengths), recipe or Recipe()
        self.subject = cache(lambda name: self._readable(subject(profile, name)))
        self._loss = lru_cache(maxsize=1)(self._loss)
        self._learnt = lru_cache(maxsize=1)(self._learnt)
        self._class_latents = lru_cache(maxsize=32)(self._class_latents)
        self._lineup = lru_cache(maxsize=32)(self._lineup)
        self._before = lru_cache(maxsize=32)(self.draw)

    def _readable(self, who: Subject) -> Subject:
        tokenizer.load_tokenizer(models.frozen_files(self.profile)[1])(who.captions)  # refuses unknown words
        return who

    def key(self, cell: DreamBooth) -> str:
        """Return the cell's name: its fields, the model, the subject's pictures, the recipe."""
        of, way = self.subject(cell.subject), WAYS.get(cell.variant, Way())
        recipe = str(self.recipe.numbers(way))
        return key(cell, model=super().key(cell), subject=of.key, noun=of.noun, recipe=recipe)

    # --- learning ---

    def _taught(self, cell: DreamBooth) -> Taught:
        from ldm.tasks.dreambooth import Taught

        row = int(self.text.tokenizer([TOKEN])[0, 0])
        return Taught(way=WAYS[cell.variant], recipe=self.recipe, row=row)

    def _loss(self, structure: Structure, taught: Taught) -> Loss:
        from ldm.diffusion.losses import diffusion_loss
        from ldm.tasks.dreambooth import subject_loss

        loss = diffusion_loss(
            structure, self.profile.schedule, self.profile.predict, null=self.text.null(1)[0], drop=0.0
        )
        return subject_loss(loss, self.text.structure, taught)

    def _class_latents(self, cell: DreamBooth) -> tuple[list[str], Float[np.ndarray, "k h w z"]]:
        """Return what the pretrained model draws of the class, in all styles, with its captions."""
        who = self.subject(cell.subject)
        scenes = requests(self.profile, who, self.recipe.drawn, every_style=True, seed=1)
        captions = [caption(of_class(scene, who.noun)) for scene in scenes]
        table = self.profile.plan(cell.sampler, cell.steps)
        drawn = self._generator(cell).latents(self.text.encode(captions), table, cell.guidance, seed=1)
        return captions, np.concatenate(list(drawn))

    def _learnt(self, cell: DreamBooth) -> dict[int, Params]:
        """Return the parameters at all lengths up to the cell's, of one training."""
        from ldm.tasks.dreambooth import batches, finetune

        who, taught = self.subject(cell.subject), self._taught(cell)
        words = lambda captions: (
            {"context": self.text.encode(captions)}
            if taught.way.text == "nothing"
            else {"ids": self.text.tokenizer(captions)}
        )
        of_subject = {"latents": self.codec.encode(who.pictures), **words(who.captions)}
        captions, latents = self._class_latents(replace(cell, variant="before", tuned=0))
        weight = self.recipe.weight if taught.way.prior else 0.0
        of_class = {"latents": latents, **words(captions)}
        batch = batches(of_subject, of_class, self.recipe.pictures, weight, cell.seed)
        learnt, frozen = taught.begin(*self._pretrained(cell), cell.seed)
        lengths = sorted({cell.tuned, *(length for length in self.lengths if length < cell.tuned)})
        loss = self._loss(self._model(self.model_of(cell)).structure, taught)
        rate = self.recipe.rate(taught.way)
        return finetune(loss, learnt, frozen, batch, rate=rate, lengths=lengths, seed=cell.seed)

    def _pretrained(self, cell: DreamBooth) -> tuple[Params, Params]:
        """Return the parameters of UNet and text tower before anything is learnt."""
        return self._model(self.model_of(cell)).params, self.text.params

    def _generator(self, cell: DreamBooth) -> Generator:
        model = self._model(self.model_of(cell))
        if cell.variant not in TUNED:
            return model
        longest = max([cell.tuned, *self.lengths])
        learnt = self._learnt(replace(cell, tuned=longest))[cell.tuned]
        taught = self._taught(cell)
        unet, tower = taught.whole(learnt, taught.frozen(*self._pretrained(cell)))
        return replace(model, params=unet, text=replace(self.text, params=tower) if tower else self.text)

    # --- judging ---

    def scenes(self, cell: DreamBooth) -> list[Scene]:
        """Return what the cell's n captions ask for: n / 2 scenes, then these n / 2 once more."""
        return 2 * requests(self.profile, self.subject(cell.subject), cell.n // 2)

    def draw(self, cell: DreamBooth) -> UInt8[np.ndarray, "2n H W 3"]:
        """Draw n pictures of the subject, then n of its class in the same scenes.

        Picture i is always drawn from the same noise.
        """
        noun, scenes = self.subject(cell.subject).noun, self.scenes(cell)
        captions = [own(scene, noun) for scene in scenes] + [caption(of_class(scene, noun)) for scene in scenes]
        table = self.profile.plan(cell.sampler, cell.steps)
        return np.concatenate(list(self._generator(cell).images(captions, table, cell.guidance, seed=cell.noise)))

    def _lineup(self, name: str, n: int) -> tuple[list[str], UInt8[np.ndarray, "m n S S 3"], dict[str, np.ndarray]]:
        """Names, pictures and features of all things in the subject's place, as the autoencoder shows them."""
        who = self.subject(name)
        names, true = lineup(self.profile.scenes, requests(self.profile, who, n), who.noun)
        flat = self.codec.decode(self.codec.encode(np.concatenate(true)))  # all at once: batches are full
        things = lambda values: values.reshape(len(names), n, *values.shape[1:])
        return names, things(flat), {name: things(look(flat)) for name, look in self.metrics.networks.items()}

    def evaluate(self, cell: DreamBooth) -> tuple[Measurement, np.ndarray, float]:
        """Return all measures of `ldm.study.likeness`; of the class, those whose names begin so; and diversity."""
        began = time.monotonic()
        who, n, scenes = self.subject(cell.subject), cell.n, self.scenes(cell)
        networks = self.metrics.networks
        if cell.variant == "truth":
            names, seen, _ = self._lineup(cell.subject, n // 2)
            pictures = np.concatenate([seen[names.index(name)] for name in (who.name, who.name, who.noun, who.noun)])
        else:
            pictures = self.draw(cell)
        looks = {name: (network(pictures[:n]), network(pictures[n:])) for name, network in networks.items()}
        of_subject, of_class = ({name: look[i] for name, look in looks.items()} for i in (0, 1))
        influences = likeness.similarity(of_subject, networks, who.pictures)
        influences |= likeness.obedience(self.metrics.scene.detect(pictures[:n]), scenes)
        influences["class_kept"] = likeness.kept(self.metrics.scene.detect(pictures[n:]), who.noun)
        if who.emoji:
            names, _, things = self._lineup(cell.subject, n // 2)
            twice = {name: np.tile(x, (1, 2, 1)) for name, x in things.items()}
            influences |= likeness.recognition(of_subject, twice, names.index(who.name))
            leaked = likeness.recognition(of_class, twice, names.index(who.name))
            influences["class_leak"] = leaked["recognised_scene"]
        if cell.variant != "truth":
            influences["diversity"] = 1 - likeness.cosine(
                of_subject["effnet"][: n // 2], of_subject["effnet"][n // 2 :]
            )
        if cell.variant in TUNED:
            before = self._before(replace(cell, variant="before", tuned=0))
            influences["class_drift"] = 1 - likeness.cosine(of_class["effnet"], self.metrics.effnet(before[n:]))
        by_effnet = ("similar_effnet", "true_effnet", "wrong_effnet", "recognised_effnet", "diversity", "class_drift")
        estimates = {
            name: (mean(values), networks["effnet" if name in by_effnet else "scene"].protocol)
            for name, values in influences.items()
        }
        kept = np.concatenate([pictures[: KEPT[0]], pictures[n : n + KEPT[1]]])
        return Measurement(estimates=estimates, influences=influences), kept, time.monotonic() - began

    def columns(self, cell: DreamBooth) -> dict[str, Any]:
        """Return the row's columns: `task` is the variant, `train_steps` the steps of finetuning."""
        return super().columns(cell) | dict(task=cell.variant, train_steps=cell.tuned)

    def setting(self, cell: DreamBooth) -> str:
        who = self.subject(cell.subject)
        pictures = f"{len(who.pictures)} pictures of {cell.subject} as sks {who.noun}"
        return f"{super().setting(cell)}; {cell.n // 2} captions, twice each; {pictures}"
