"""Train the second edition's family, one model after another, in the order in which each stage can be read.

    nice -n 19 .venv/bin/python -m tools.train_family    # go on where it stopped; --plan: only list what is left

Each line is one `python -m ldm pretrain`, `distill` or `superres`, which saves checkpoints and resumes. What is here,
or was drawn with elsewhere and recorded, is not trained again.
"""

from __future__ import annotations

import subprocess
import sys

from ldm.paths import ROOT
from ldm.profiles import PROFILES
from ldm.study import superres_grid
from ldm.study.results import Store
from ldm.tasks import models, superres_recipe
from ldm.tasks.distillation import methods

FIRST, OTHER = "laptop-eps", "laptop-v"  # the two settings, the paper's own first
TRANSFORMERS = "laptop-dit"
SNAPSHOTS = 16  # of two averages of the weights, so that the length of the average can be chosen afterwards
STAGES = [
    (FIRST, (8, 16, 32), (0,), 640_000),
    (OTHER, (8, 16, 32), (0,), 640_000),
    (FIRST, (64,), (0,), 640_000),
    (FIRST, (8, 16, 32), (1, 2), 640_000),
    (FIRST, (24, 48), (0,), 640_000),
    (OTHER, (8, 16, 32), (1, 2), 640_000),
    (TRANSFORMERS, (48, 72, 120), (0,), 640_000),
    (TRANSFORMERS, (48, 72), (1, 2), 640_000),
    (TRANSFORMERS, (96,), (0,), 640_000),
    ("laptop-flow", (48, 72), (0,), 640_000),  # the same on a straight path
    ("laptop-dit-2", (120,), (0,), 640_000),  # of larger patches
]
STUDENTS = [  # of the first training of each size
    (FIRST, (8, 16, 32), ("codi", "lcm", "continued", "guided")),
    (TRANSFORMERS, (48, 120), ("codi",)),
]
LARGE = "laptop-64"  # trained on at twice the side, then finetuned to restore
RESTORERS: dict[superres_recipe.Kind, tuple[int, ...]] = {
    "superres": (8, 16, 24, 32),
    "superres-regression": (superres_grid.CONTROL,),
    "superres-scratch": (superres_grid.CONTROL,),
}


def left() -> list[list[str]]:
    """Return the commands of the models that are neither here nor have recorded pictures."""
    store = Store(ROOT)

    def done(name: str, c: int, images: int, seed: int) -> bool:
        drawn = store.rows(study="sampling", profile=name, c=c, images_seen=images, seed=seed)
        return len(drawn) > 0 or models.file_of(PROFILES[name], c, images, seed) is not None

    def distilled(name: str, c: int, method: str) -> bool:
        last, profile = methods.kinds(method)[-1], PROFILES[name]
        drawn = store.rows(study="distillation", profile=name, c=c, task=last)
        there = models.file_of(profile, c, methods.images_of(profile, last), kind=last)
        return len(drawn) > 0 or there is not None

    def restores(c: int, kind: superres_recipe.Kind) -> bool:
        images = superres_recipe.config_of(PROFILES[LARGE], c, kind=kind).images
        drawn = store.rows(study="superres", profile=LARGE, c=c, task=kind, images_seen=images)
        return len(drawn) > 0 or models.file_of(PROFILES[LARGE], c, images, kind=kind) is not None

    restorers = [(c, kind) for kind, sizes in RESTORERS.items() for c in sizes if not restores(c, kind)]
    begun = [c for c in dict.fromkeys(c for c, _ in restorers) if not models.file_of(PROFILES[LARGE], c, 160_000)]
    return (
        [
            [*f"pretrain --profile {name} --c {c} --seed {seed} --images {images} --snapshots {SNAPSHOTS}".split()]
            for name, sizes, seeds, images in STAGES
            for seed in seeds
            for c in sizes
            if not done(name, c, images, seed)
        ]
        + [
            f"distill {method} --profile {name} --c {c}".split()
            for name, sizes, asked in STUDENTS
            for method in asked
            for c in sizes
            if not distilled(name, c, method)
        ]
        + [
            *(f"pretrain --profile {LARGE} --c {c}".split() for c in begun),
            *(f"superres --profile {LARGE} --c {c} --kind {kind}".split() for c, kind in restorers),
        ]
    )


def main() -> None:
    """Print and run the commands that are left to do."""
    for words in left():
        print("python -m ldm", *words, flush=True)
        if "--plan" not in sys.argv:
            subprocess.run([sys.executable, "-m", "ldm", *words], check=True)


if __name__ == "__main__":
    main()
