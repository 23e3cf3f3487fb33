"""Draw book/_static/family.webp, the picture of the README, from the recorded pictures. For maintainers."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ldm import live, study
from ldm.profiles import ROOT, profile
from ldm.results import Store
from ldm.scenes import Scenes

SHOWN = range(12)  # the first held-out captions, none chosen
SIDE = 72  # pixels of one picture on the page

scale = profile("laptop")
store, lab = Store(ROOT), study.Laboratory(scale)
cells = study.pretraining_grid(scale, scale.family, [scale.length], steps=50, guidance=[2.0])
rows = [Scenes(scale.scenes, "val", scale.n).images(SHOWN)]
rows += [live.kept(store, lab, cell)[list(SHOWN)] for cell in cells]
sheet = np.concatenate([np.concatenate(list(row), 1) for row in rows])
picture = Image.fromarray(sheet).resize((len(SHOWN) * SIDE, len(rows) * SIDE), Image.Resampling.BICUBIC)
picture.save(ROOT / "book/_static/family.webp", quality=90)
print(", ".join(f"c = {cell.c} after {cell.images:,}" for cell in cells))
