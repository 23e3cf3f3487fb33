"""How JAX compiles in tests: in a hurry, since a program runs for less time than compiling it well takes."""

from __future__ import annotations

import os

# The older emitters make fewer passes over a program: a UNet's training step compiles in two fifths of the time.
HASTY = "--xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false"
# The tests' own programs run once or twice: without optimising at all they compile in a fifth of the time.
AT_ONCE = f"--xla_backend_optimization_level=0 {HASTY}"
# Those of the study at smoke run for longer: without optimising, for twice as long, which cost more than compiling
# saved. The Snakefile has the same flags.
QUICK = f"--xla_backend_optimization_level=1 {HASTY}"


def one_device() -> dict[str, str]:
    """The environment for another process: one device, so that the smoke study's compiled programs fit."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"XLA_FLAGS": QUICK}
