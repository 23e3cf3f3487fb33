"""What only reads and draws recorded rows loads no JAX: a chapter of the book opens in the time that pandas takes."""

from __future__ import annotations

import subprocess
import sys

from ldm.paths import ROOT

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
