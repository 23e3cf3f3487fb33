"""What moves a distance, the pictures being the same: `python -m benchmarks.reporting`, the table of book/reporting.md.

Scored are scenes that the shipped autoencoder has encoded and decoded, against others, by EfficientNet-Lite0:
once as usual, and then with one thing changed at a time.
"""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from PIL import Image

from ldm.data.pictures import whole
from ldm.data.scenes.dataset import Scenes
from ldm.metrics import Gaussian, Sample, frechet, kid
from ldm.metrics.perceptual.extractors import load_extractor
from ldm.profiles import OPEN_EPS
from ldm.tasks.pretrain import frozen_networks

N, REAL = 600, 1200
RESIZERS = ("clean-fid", "pil", "pytorch-fid", "torch-fidelity")


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        return whole(file.getvalue())


def main(n: int = N, m: int = REAL) -> pd.DataFrame:
    """Score, print a table in Markdown, and give it back."""
    codec, _ = frozen_networks(OPEN_EPS)
    scenes, real = Scenes(OPEN_EPS.scenes, "val", n), Scenes(OPEN_EPS.scenes, "test", m)
    fake = codec.decode(codec.encode(scenes.images(range(n))))
    true = real.images(range(m))
    extractors = {name: load_extractor("efficientnet", resize=name) for name in RESIZERS}
    references = {name: one.features(true) for name, one in extractors.items()}
    usual = extractors["clean-fid"].features(fake)
    cases = {f"as usual: n = {n}, PNG, clean-fid's resize": (usual, "clean-fid")}
    cases |= {f"n = {k}": (usual[:k], "clean-fid") for k in (n // 2, n // 4)}
    for quality in (95, 75):
        cases[f"saved as JPEG, quality {quality}"] = (
            extractors["clean-fid"].features([jpeg(image, quality) for image in fake]),
            "clean-fid",
        )
    cases |= {f"resize {name}, of both": (extractors[name].features(fake), name) for name in RESIZERS[1:]}
    cases["resize pytorch-fid, of the generated alone"] = (extractors["pytorch-fid"].features(fake), "clean-fid")
    rows = []
    for what, (x, name) in cases.items():
        far, near = frechet(x, Gaussian.of(references[name])), kid(x, Sample(features=references[name])).times(1000)
        rows.append(
            {
                "changed": what,
                "FD": f"{far.value:.1f} ({far.lo:.1f} to {far.hi:.1f})",
                "KID x1000": f"{near.value:.2f} ({near.lo:.2f} to {near.hi:.2f})",
            }
        )
    table = pd.DataFrame(rows)
    print(table.to_markdown(index=False))
    return table


if __name__ == "__main__":
    main()
