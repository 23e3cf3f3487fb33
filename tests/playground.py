"""The playground with the smallest network of each family, and what Python draws of its caption: for its tests."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from ldm.diffusion.sampler import image_keys, sample
from ldm.figures.race import PAGE
from ldm.interop import browser as browser_files
from ldm.profiles import OPEN_EPS
from ldm.tasks import pretrain

STATIC = Path(__file__).parents[1] / "book/_static/playground"
STEPS, GUIDANCE, SEED = 4, 3.0, 7
NETWORKS = "unet-c8", "dit-c48"
CAPTION = "a large cat left of an owl, flat style, on a blue and yellow background"  # says no kind of background


def put(folder: Path) -> Path:
    """The playground alone, with the smallest networks; the pages that show it and the race lie above it."""
    folder = folder / "playground"
    shutil.copytree(STATIC, folder)
    browser_files.write(folder, NETWORKS)
    (folder.parent / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><link rel="stylesheet"'
        ' href="playground/page.css"><div id="playground"></div><script src="playground/shared.js"></script>'
        '<script src="playground/page.js"></script>'
    )
    runs = [{"c": 8, "steps": STEPS, "guidance": GUIDANCE}, {"c": 16, "steps": 2, "guidance": 2.0}]
    budgets = {
        "2": {"title": "2 steps of c = 16", "cost": 0.015, "runs": runs},
        "1": {"title": "1", "cost": 1, "runs": []},
    }
    groups = [{"title": "the caption says some of it", "captions": [CAPTION, ""], "budgets": budgets}]
    given = json.dumps({"groups": groups, "megabytes": 25})
    (folder.parent / "race.html").write_text(
        '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">'
        + PAGE.format(static="playground", given=given)
    )
    return folder


@functools.cache
def parts():
    """The autoencoder and the text tower."""
    return pretrain.frozen_networks(OPEN_EPS)


@functools.cache
def drawn(sampler: str, network: str = NETWORKS[0]) -> tuple[np.ndarray, np.ndarray]:
    """Python's latents and picture."""
    codec, text = parts()
    profile, size = browser_files.offered()[network]
    structure, params = pretrain.load_pretrained(profile, size, profile.length)
    latents = sample(
        structure,
        params,
        OPEN_EPS.plan(sampler, STEPS),
        text.encode([CAPTION]),
        text.null(1),
        GUIDANCE,
        image_keys(SEED, [0]),
        predict=OPEN_EPS.predict,
        shape=OPEN_EPS.latent_shape,
    )
    return np.asarray(latents)[0], replace(codec, batch=1).decode(latents)[0]
