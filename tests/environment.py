"""How JAX compiles in tests: in a hurry, since a program runs for less time than compiling it well takes."""

from __future__ import annotations

import os

# As the Snakefile has it for `smoke`. Without optimising at all (level 0) programs compile in a fifth of the time and
# run for twice as long: the study at smoke took longer, on the whole.
QUICK = "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true"

AT_ONCE = {"xla_backend_optimization_level": 0}  # for a large program that runs once: `jax.jit(compiler_options=...)`


def one_device() -> dict[str, str]:
    """The environment for another process: one device, so that the smoke study's compiled programs fit."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"XLA_FLAGS": QUICK}
