"""How good restored photographs are: random crops of a folder's pictures, judged as scenes are.

As the paper does with 3,000 crops of DIV2K's validation set (section 3.2): the folder that was kept apart, and a
model of scenes or one that was finetuned on the other folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ldm import paths
from ldm.data.degrade import Strength
from ldm.profile import Profile
from ldm.statistics import comparisons
from ldm.study.results import Store
from ldm.study.run import run
from ldm.study.superres import SuperResolutionEvaluator
from ldm.study.superres_grid import BASELINES, USUAL, Restoration
from ldm.tasks import pairs, register, superres_recipe
from ldm.tasks.models import Model

if TYPE_CHECKING:
    from ldm.tasks.superres import Restorer

CROPS = 3_000  # the paper's
JUDGED = ("kid_effnet", "fd_effnet", "is_effnet", "lpips_effnet", "psnr", "ssim")


class PhotographEvaluator(SuperResolutionEvaluator):
    """That of super-resolution, with crops of a folder in place of scenes and, if given, a model of one's own."""

    motifs = "crops of photographs"
    compared_with = ("",)

    def __init__(self, profile: Profile, folder: Path, model: Path | None = None):
        self.folder, self.model = folder, model
        super().__init__(profile)

    def pairs(self, split: str, n: int, strength: Strength) -> pairs.DegradedPairs:
        """Return crops of the pictures, others in each split: distances ask how crops look, not which they are."""
        return pairs.photographs(self.profile, self.folder, n, {"val": 1, "test": 2}[split], strength)

    def file(self, model: Model) -> Path | None:
        """Return the model's file: the one that was given, if any."""
        return super().file(model) if self.model is None else self.model

    def digest(self, model: Model) -> str:
        """Return the digest of the file's weights, where there is one."""
        return super().digest(model) if self.model is None else register.digest_of(self.model)

    def load(self, model: Model) -> Restorer:
        """Return the file's model, where there is one, whatever the cell's length of finetuning."""
        from ldm.tasks import superres

        known = superres_recipe.check_kind(model.kind)
        return superres.restorer(self.profile, *model[:3], known, file=self.model, frozen=self.frozen)


def measure_photographs(
    profile: Profile,
    folder: Path,
    c: int,
    *,
    model: Path | None = None,
    steps: int = USUAL,
    n: int = CROPS,
    store: Store | None = None,
) -> pd.DataFrame:
    """Say by how much a model enlarges the crops better than bicubic interpolation, metric by metric, with intervals.

    A model of one's own says its width and kind itself. The rows go to a store of their own, `runs/gallery`. Columns
    `metric`, its values `bicubic` and `restored`, `better by` (positive where the model is better, in the metric's
    unit), its interval `lo` to `hi`, and `n` crops.
    Raises: ValueError, one sentence, for a folder or a model that will not do.
    """
    from ldm.tasks import superres

    common: dict[str, Any] = dict(profile=profile.name, n=n)
    kind, c = ("superres", c) if model is None else superres.described(model)
    steps = 0 if kind in BASELINES else steps
    cells = [
        Restoration(kind="bicubic", **common),
        Restoration(kind=kind, c=c, images=profile.finetuned, steps=steps, **common),
    ]
    store = store or Store(paths.RUNS / "gallery")
    rows = run(cells, store=store, evaluator=PhotographEvaluator(profile, folder, model), title="gallery")
    found = []
    for metric in JUDGED:
        part = rows[rows["metric"] == metric]
        gain = comparisons.gains(rows, metric, store.influences(part, metric), over="bicubic").iloc[0]
        values = part.set_index("task")["value"]
        found.append((metric, values["bicubic"], values[kind], gain["better"], gain["lo"], gain["hi"], gain["n"]))
    return pd.DataFrame(found, columns=["metric", "bicubic", "restored", "better by", "lo", "hi", "n"])
