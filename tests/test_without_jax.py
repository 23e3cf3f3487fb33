"""What only reads and draws recorded rows loads no JAX: a chapter of the book opens in the time that pandas takes."""

from __future__ import annotations

import subprocess
import sys

from ldm.hashing import digest
from ldm.networks import tokenizer
from ldm.paths import ROOT
from ldm.profiles import OPEN_EPS
from ldm.study import scene_metrics
from ldm.tasks import models, pretrain, register

LOADED = "print(sorted({'jax', 'jaxlib', 'flax'} & {name.partition('.')[0] for name in sys.modules}))"


def loaded_by(program: str) -> str:
    """Which of JAX's packages a program of its own process has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\n{LOADED}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def test_statistics_and_figures_load_without_jax():
    program = """
import importlib, pkgutil
for room in ("ldm.statistics", "ldm.figures"):
    for module in pkgutil.iter_modules(importlib.import_module(room).__path__, f"{room}."):
        importlib.import_module(module.name)"""
    assert loaded_by(program) == "[]"


def test_a_plan_is_made_without_jax_and_taken_by_it():
    assert loaded_by("from ldm.diffusion.solvers import plan\nassert plan('heun', 8).n == 15") == "[]"
    program = """
from ldm.diffusion.solvers import plan
import ldm.diffusion.sampler
import jax
assert jax.jit(lambda plan: plan.x.sum() + plan.n)(plan('ddim', 4)) > 4"""
    assert "jax" in loaded_by(program)


def test_cells_are_named_without_jax_so_a_chapter_of_recorded_rows_needs_none():
    program = """
from ldm import profiles
from ldm.study import distillation, dreambooth, interpolation, probes, sampling, superres, superres_grid
profile = profiles.get("smoke")
cells = {
    sampling.SamplingEvaluator: sampling.sampling_grid(profile, (8,), (4,), (1.5,)),
    distillation.DistillationEvaluator: distillation.distillation_grid(profile, ["codi"], (8,), (4,), (1.5,)),
    dreambooth.DreamBoothEvaluator: dreambooth.dreambooth_grid(
        profile, (8,), ["fox"], ["prior"], [1], steps=2, guidance=2.0, n=16
    ),
    interpolation.InterpolationEvaluator: interpolation.interpolation_grid(
        profile, (8,), (1.5,), steps=4, n=16, frames=3
    ),
    probes.ProbeEvaluator: probes.probes_grid(profile),
    superres.SuperResolutionEvaluator: superres_grid.baselines_grid(profile, 8)[:1],
}
for kind, grid in cells.items():
    evaluator = kind(profile)
    assert len({evaluator.key(cell) for cell in grid}) == len(grid) > 0"""
    assert loaded_by(program) == "[]"


def test_the_chapter_about_levers_reads_its_rows_without_jax():
    program = """
from ldm import profiles
from ldm.figures import guides, levers as charts, search
from ldm.paths import ROOT
from ldm.study import findings, lever_record, levers
from ldm.study.results import Store
evaluator = levers.LeverEvaluator(profiles.get("laptop-eps"))
rows, settings = lever_record.recorded(Store(ROOT), evaluator, ["some"])
assert set(settings) == set(rows["key"]) and set(rows["lever"]) > {"students", "autoguidance"}"""
    assert loaded_by(program) == "[]"


def test_what_files_say_of_networks_is_what_the_loaded_networks_say():
    codec, text = pretrain.frozen_networks(OPEN_EPS)
    files = models.frozen_files(OPEN_EPS)
    assert [register.digest_of(file) for file in files] == [digest(codec.params), digest(text.params)]
    assert tokenizer.load_tokenizer(files[1]) == text.tokenizer
    panel = scene_metrics.load_metrics(OPEN_EPS)
    networks = {name: (card.network, card.weights) for name, card in panel.protocols.items()}
    assert networks["kid_effnet"] == (panel.effnet.protocol, digest(panel.effnet.weights))
    assert networks["kid_scene"] == (panel.scene.protocol, digest(panel.scene.params))
