"""What the store holds of the study's grids: rows as chapters and verdicts ask for them; nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ldm.data.scenes.captions import Level
from ldm.profile import Profile
from ldm.statistics.settings import DRAWN, MODEL
from ldm.study import real, superres_grid
from ldm.study.results import Store
from ldm.tasks import superres_recipe

SAMPLERS = ("ddim", "ddpm", "dpm++")
STRAIGHT = ("ddim", "heun", "dpm++")  # samplers on a straight path, where DDIM is Euler's method
STEPS, GUIDANCE = 50, 2.0  # how every training length is sampled


def pretrained(store: Store, profile: Profile) -> pd.DataFrame:
    """Return what the store holds of every size at every length of training, in the paper's one way."""
    rows = store.rows(
        study="pretraining",
        profile=profile.name,
        task="pretrain",
        c=list(profile.family),
        steps=STEPS,
        guidance=GUIDANCE,
        level=of_levels([profile.level]),
        seed=0,
    )
    return of_pictures(rows, profile.n)


def whole_grid(
    store: Store, profile: Profile, level: Level | None = None, *, samplers: Sequence[str] = SAMPLERS
) -> pd.DataFrame:
    """Return what the store holds of the profile's grid by any of the samplers, at its level of caption or at another.

    Settings outside the grid, and other seeds, are left out: a size with more of them would have more tries.
    """
    rows = store.rows(
        study="sampling",
        profile=profile.name,
        images_seen=profile.length,
        seed=0,
        sampler=list(samplers),
        level=of_levels([level or profile.level]),
        steps=list(profile.steps),
        guidance=list(profile.guidance),
    )
    return of_pictures(rows, profile.n)


def by_level(
    store: Store, profile: Profile, levels: Sequence[Level], n: int = 1024, steps: Sequence[int] = ()
) -> pd.DataFrame:
    """Return what the store holds of the grid by DDIM at these levels of caption, of all trainings.

    steps: other step counts than the profile's. Cells of n pictures count. A row's own n can be less: where captions
    leave things out, not every picture is asked for everything. At each level a training counts if it is whole
    (`whole_trainings`).
    """
    rows = store.rows(
        study="sampling",
        profile=profile.name,
        images_seen=profile.length,
        sampler="ddim",
        level=of_levels(levels),
        steps=list(steps or profile.steps),
        guidance=list(profile.guidance),
    )
    parts = [whole_trainings(part) for _, part in of_pictures(rows, n).groupby("level", dropna=False)]
    return pd.concat([rows[:0], *parts]).sort_index(ignore_index=True)


def held_out(store: Store, profile: Profile) -> pd.DataFrame:
    """Return the held-out losses that the store holds of every size at every length of training, of all seeds."""
    return store.rows(
        study="denoising", profile=profile.name, task="denoise", metric="denoising", images_seen=list(profile.lengths)
    )


def with_trainings(store: Store, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of first trainings, and what the store holds of the same settings by others that are whole.

    Verdicts pool them (`ldm.statistics.evidence`); charts show the first training. Nothing is run.
    """
    if not len(rows):
        return rows
    known = lambda values: [None if pd.isna(value) else value for value in values]
    same: dict[str, Any] = {name: known(rows[name].unique()) for name in (*MODEL, *DRAWN)}
    pictures = int(store.rows(key=list(rows["key"].unique()))["n"].max())  # a metric may judge a part of them alone
    others = of_pictures(store.rows(**same), pictures)
    return whole_trainings(pd.concat([rows, others[~others["seed"].isin(rows["seed"])]], ignore_index=True))


def whole_trainings(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without trainings that lack a setting of their model's first one, and without settings beyond.

    Pooled, such a training would take the setting from all others of its model.
    """
    kept = []
    for _, model in rows.groupby(list(MODEL), dropna=False, sort=False):
        parts = [part for _, part in model.groupby("seed")]  # the first training first
        settings = [pd.MultiIndex.from_frame(part[[*DRAWN, "metric"]]) for part in parts]
        kept += [
            part[has.isin(settings[0])]
            for part, has in zip(parts, settings, strict=True)
            if settings[0].isin(has).all()
        ]
    return pd.concat([rows[:0], *kept]).sort_index()


def beside_real(store: Store, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a column `real`: what as many real scenes score by a row's metric, after the autoencoder.

    It is the best that a model on these latents can be expected to reach; NaN where it is not recorded.
    """
    alike = ["profile", "metric", "level", "n"]
    known = store.rows(study="real", task=real.DECODED, profile=list(rows["profile"].unique()))
    known = known.sort_values("created").drop_duplicates(alike, keep="last").rename(columns={"value": "real"})
    return rows.merge(known[[*alike, "real"]], on=alike, how="left")


def of_pictures(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return the rows of cells of n pictures."""
    return rows[rows.groupby("key")["n"].transform("max") == n].reset_index(drop=True)


def of_levels(levels: Sequence[Level]) -> list[Level | None]:
    """Return what rows hold of these levels: those from before there were levels hold none, and said all."""
    return [*levels, None] if "all" in levels else list(levels)


def restored(store: Store, profile: Profile, level: str = "published", **where: Any) -> pd.DataFrame:
    """Return what the store holds of finetuned models that restored pictures in the paper's one way.

    level: how pictures were degraded.
    """
    return store.rows(
        study="superres",
        profile=profile.name,
        task="superres",
        sampler="ddim",
        n=superres_grid.pictures(profile),
        c=list(profile.family),
        level=level,
        **where,
    )


def restored_by_length(store: Store, profile: Profile) -> pd.DataFrame:
    """Return every size at every length of finetuning: what F2 is asked of."""
    return restored(store, profile, images_seen=list(superres_recipe.lengths(profile)), steps=superres_grid.USUAL)


def restored_by_steps(store: Store, profile: Profile) -> pd.DataFrame:
    """Return every size at every step count, after the longest finetuning: what F5 is asked of."""
    return restored(store, profile, images_seen=profile.finetuned, steps=list(superres_grid.STEPS))


def distilled(store: Store, profile: Profile) -> pd.DataFrame:
    """Return consistent students, and teachers by DDIM at the guidance that students know.

    This is what F6 is asked of.
    """
    common: dict[str, Any] = dict(
        profile=profile.name,
        n=profile.n,
        c=list(profile.family),
        guidance=profile.distilled_guidance,
        level=of_levels([profile.level]),
        seed=0,
    )
    teachers = store.rows(
        study="sampling", images_seen=profile.length, sampler="ddim", steps=list(profile.steps), **common
    )
    return pd.concat([teachers, store.rows(study="distillation", sampler="consistency", **common)], ignore_index=True)
