"""The command line answers a wrong request with one sentence and a failing status, before any work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldm import profiles
from ldm.__main__ import main
from ldm.commands.checks import check_autoencoder
from ldm.data import latents
from ldm.networks import weights
from ldm.paths import ROOT, RUNS
from ldm.tasks import models, superres
from ldm.tasks.frozen import autoencoder


def answer(monkeypatch, *words: str) -> str:
    """What the command says as it gives up."""
    monkeypatch.setattr(sys, "argv", ["ldm", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code not in (0, None)
    return str(stopped.value.code)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("notebook 99_nothing", "there is no notebook '99_nothing'"),
        ("notebook 04_sampling -p stepz 4", "has no parameter 'stepz' (did you mean 'steps'?)"),
        ("notebook 04_sampling -p guidance abc", "parameter 'guidance' is 'abc', expected a number"),
        ("notebook 03_pretraining -p guidance abc", "parameter 'guidance' is 'abc', expected a number"),
        ("notebook 04_sampling -p n many", "parameter 'n' is 'many', expected a whole number"),
        ("notebook 04_sampling -p steps 4;8", "expected a number, or several with commas between them, like 4,8."),
        ("notebook 04_sampling -p steps 4 -p steps 8", "parameter 'steps' is given twice, as '4' and '8'"),
        ("grid --sizes 8 --sizes 16", "--sizes is given twice; give it once"),
        ("grid --n=16 --n 32", "--n is given twice"),
        ("notebook 01_data -p shown 1.5", "parameter 'shown' is '1.5', expected a whole number"),
        ("grid --profile huge", "profile = 'huge': expected one of smoke, tpu, laptop-eps"),
        ("grid --sizes 12", "c = 12: expected a size of profile laptop-eps"),
        ("grid --steps 0 --sizes 8", "steps = 0: expected an integer from 1"),
        ("grid --steps -3 --sizes 8", "steps = -3: expected an integer from 1"),
        ("grid --guidance 100 --sizes 8", "guidance = 100.0: expected 1"),
        ("grid --n 2 --sizes 8", "n = 2: expected 16"),
        ("grid --study denoising --sizes 8 --steps 4", "steps = (4,): the study denoising has none to choose"),
        ("grid --study superres --level all --sizes 8", "level = all: the study superres has none to choose"),
        (
            "grid --study distillation --sampler heun --sizes 8",
            "sampler = heun: the study distillation has none to choose",
        ),
        ("grid --study pretraining --steps 10 50 --sizes 8", "steps = (10, 50): expected one number"),
        ("grid --study pretraining --sizes 8 --lengths 7", "images = 7: expected a training length"),
        ("grid --study superres --sizes 12 --steps 4", "c = 12: expected a size of profile laptop-64"),
        ("superres --c 8 --kind magic", "kind = 'magic': expected one of superres"),
        ("superres --c 8 --images 1500", "images = 1500: expected a multiple of 1,000"),
        ("superres --c 8 --folder nowhere", "nowhere: no such folder"),
        ("superres --c 8 --folder ldm", "ldm: no PNG, JPEG or WebP file"),
        ("upscale nowhere.png", "nowhere.png does not exist"),
        ("upscale book/_static/family.webp --model nowhere.safetensors", "nowhere.safetensors does not exist"),
        (
            "upscale book/_static/family.webp --model weights/open/unet-v-c8-640k-s0.safetensors",
            "is no model of super-resolution",
        ),
        ("grid --study distillation --sizes 8 --kinds turbo", "kind = 'turbo': expected one of codi, lcm"),
        ("draw nowhere cat --out a.xyz", "out = a.xyz: expected a name that ends in .png or .jpg or .jpeg or .webp"),
        ("draw nowhere cat --out ldm", "out = ldm: this is a folder"),
        ("draw nowhere cat --out gone/a.png", "out = gone/a.png: the folder gone does not exist"),
        ("draw nowhere cat --out README.md/a.png", "out = README.md/a.png: the folder README.md is a file"),
        ("upscale book/_static/family.webp --out a.xyz", "out = a.xyz: expected a name that ends in .png"),
        ("notebook 04_sampling --out gone/a.xyz", "out = gone/a.xyz: expected a name that ends in .ipynb"),
        ("notebook 04_sampling --out README.md/a.ipynb", "the folder README.md is a file"),
        ("browser --out README.md", "README.md: is a file, not a folder"),
        ("draw nowhere cat --guidance nan", "guidance = nan: expected a finite number"),
        ("draw nowhere cat --guidance 1e39", "guidance = 1e+39: expected a finite number"),
        ("grid --guidance nan --sizes 8", "guidance = nan: expected 1"),
        ("grid --study distillation --guidance nan --sizes 8", "guidance = nan: expected 1"),
        ("race --guidance inf --sizes 8", "guidance = inf: expected 1"),
        ("dreambooth --guidance nan --sizes 8", "guidance = nan: expected 1"),
        ("average --c 8 --sigma nan", "sigma_rel = nan: expected 0.01"),
        ("draw nowhere cat", "nowhere/model_index.json does not exist"),
        (
            "draw README.md cat",
            "README.md is a single file; expected a folder that diffusers' save_pretrained wrote",
        ),
        ("pretrain --c 8 --data README.md", "README.md: is a file, not a folder; give one of .tar shards"),
        ("superres --c 8 --folder README.md", "README.md: is a file, not a folder; give one of PNG"),
        ("pretrain --c 8 --data nowhere", "nowhere: no such folder; give one of .tar shards"),
        ("shards weights/open/models.json --n 1", "weights/open/models.json"),
        ("pretrain --c 7", "c is 7; the base filter count must be even"),
        ("pretrain --c 0", "c is 0; expected a whole number of at least 1"),
        ("pretrain --c 8 --seed -1", "seed = -1: expected 0 or more"),
        ("distill codi --c 8 --seed 99999999999", "seed = 99999999999: expected 0 or more, below 2^32"),
        ("pretrain --c 8 --images -1", "images = -1: expected 0 or more"),
        ("pretrain --c 8 --accumulate 7", "accumulate = 7: expected a divisor of batch = 64"),
        ("pretrain --c 8 --devices 3", "batch = 64 on 3 devices: expected a multiple"),
        ("superres --c 8 --devices 3", "batch = 32 on 3 devices: expected a multiple"),
        ("superres --c 12", "There is no trained model of c = 12 after 160,000 images"),
        ("pretrain --c 12 --profile laptop-64", "There is no trained model of c = 12 after 640,000 images"),
        ("part text --profile laptop-64", "profile = 'laptop-64' shares its text with laptop-eps"),
        ("together --c 8 --profiles laptop-64", "profile = laptop-64: goes on from other models"),
        ("superres --c 12 --kind superres-regression", "There is no trained model of c = 12"),
        ("superres --c 7 --kind superres-scratch", "c is 7; the base filter count must be even"),
        ("distill codi --c 12", "There is no trained model of c = 12 after 640,000 images (seed 0)"),
        ("distill codi --c 8 --seed 77", "There is no trained model of c = 8 after 640,000 images (seed 77)"),
        ("distill lcm --c 8 --images 1999", "images = 1999: expected a multiple of 1,000"),
        ("pretrain --c 8 --images 100", "images = 100: expected a multiple of 1,000"),
        ("shards nowhere --n -1", "n = -1: expected 0 or more"),
        ("part text --images -1", "images = -1: expected 0 or more"),
        ("pretrain --c 8 --profile tpu", "weights/tpu/autoencoder.safetensors does not exist"),
    ],
)
def test_a_wrong_request_gets_one_sentence(monkeypatch, words, sentence):
    monkeypatch.setattr(latents, "cached", lambda *_: pytest.fail("encodes before it says what is wrong"))
    monkeypatch.setattr(superres, "half_precision", latents.half_precision)
    said = answer(monkeypatch, *words.split())
    assert sentence in said
    assert "\n" not in said
    assert not Path("gone").exists()


@pytest.mark.parametrize("module", ["ldm", "launch.gpu"])
def test_help_is_there_for_a_terminal_that_has_no_bullet(module):
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    asked = subprocess.run([sys.executable, "-m", module, "--help"], env=environment, capture_output=True, cwd=ROOT)
    assert asked.returncode == 0 and b"--help" in asked.stdout, asked.stderr.decode()


def test_a_model_of_a_folder_lies_apart_from_those_of_scenes(monkeypatch, tmp_path, capsys):
    Image.new("RGB", (80, 64), "teal").save(tmp_path / "a.png")
    asked = {}
    monkeypatch.setattr(superres, "latent_pairs", lambda pairs, codec: pairs)
    monkeypatch.setattr(superres, "finetune", lambda profile, c, **rest: asked.update(rest, c=c))
    monkeypatch.setattr(sys, "argv", ["ldm", "superres", "--c", "8", "--folder", str(tmp_path), "--images", "3000"])
    main()
    assert asked["data"].sharpen and asked["data"].data.path == tmp_path
    assert asked["lengths"] == (3_000,) and asked["config"].images == 3_000
    assert asked["data"].strength == "both"
    assert asked["root"].parent == RUNS and asked["root"].name.startswith(tmp_path.name)
    assert capsys.readouterr().out.strip() == str(asked["root"] / "open/superres-v-64-c8-3k-s0.safetensors")


def test_no_model_is_trained_on_an_autoencoder_that_is_still_trained_itself(monkeypatch, tmp_path):
    path = tmp_path / "autoencoder.safetensors"
    monkeypatch.setattr(models, "part_file", lambda profile, part: path)
    monkeypatch.setattr(autoencoder, "part_file", lambda profile, part: path)
    check_autoencoder(profiles.get("smoke"))  # one that is missing is missed elsewhere, by its name
    weights.save(path, {"x": np.zeros(1, np.float32)}, {"images": 20_000})
    with pytest.raises(ValueError, match="The autoencoder of profile smoke is not finished"):
        check_autoencoder(profiles.get("smoke"))
    weights.save(path, {"x": np.zeros(1, np.float32)}, {"images": 60_000, "decoder_images": 60_000})
    check_autoencoder(profiles.get("smoke"))
