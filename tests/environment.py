"""How JAX compiles in tests: without optimising where a program runs once, a little where it runs a chapter."""

from __future__ import annotations

import os

QUICK, SMOKE = (  # the second as the Snakefile has it for `smoke`
    f"--xla_backend_optimization_level={level} --xla_llvm_disable_expensive_passes=true" for level in (0, 1)
)


def one_device() -> dict[str, str]:
    """The environment for another process: one device, so that the smoke study's compiled programs fit."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"XLA_FLAGS": SMOKE}
