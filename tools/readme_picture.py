"""Draw book/_static/family.webp, the picture of the README, from the recorded pictures. For maintainers."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ldm import profiles
from ldm.data.pictures import to_webp
from ldm.data.scenes.dataset import Scenes
from ldm.figures import samples
from ldm.files import write_atomic
from ldm.paths import ROOT
from ldm.study import findings, sampling
from ldm.study.results import Store
from ldm.tasks import register

SHOWN = range(8)  # the first held-out captions, none chosen
SIDE = 96  # pixels of one picture on the page

profile = profiles.get(profiles.DEFAULT)
store, evaluator = Store(ROOT), sampling.SamplingEvaluator(profile)
cells = findings.lengths_grid(profile, register.trained_sizes(profile))
cells = [cell for cell in cells if cell.images == profile.length]
rows = [Scenes(profile.scenes, "val", profile.n).images(SHOWN)]
rows += [samples.kept(store, evaluator.key(cell))[list(SHOWN)] for cell in cells]
sheet = np.concatenate([np.concatenate(list(row), 1) for row in rows])
picture = Image.fromarray(sheet).resize((len(SHOWN) * SIDE, len(rows) * SIDE), Image.Resampling.BICUBIC)
write_atomic(ROOT / "book/_static/family.webp", to_webp(np.asarray(picture)))
print(", ".join(f"c = {cell.c} after {cell.images:,}" for cell in cells))
