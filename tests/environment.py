"""How JAX compiles in tests: without optimising, since most programs run once."""

from __future__ import annotations

import os

QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # as the Snakefile has it for `smoke`


def one_device() -> dict[str, str]:
    """The environment for another process: one device, so that the smoke study's compiled programs fit."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"XLA_FLAGS": QUICK}
