"""How JAX compiles in tests: without optimising, since a program runs for less time than compiling it well takes."""

from __future__ import annotations

import os

# As the Snakefile has it for `smoke`. XLA's older way to emit fused loops is the quicker one to compile: with it, and
# without optimising, the UNet takes 3.8 s of a core in place of 10.7.
QUICK = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false"
)


def one_device() -> dict[str, str]:
    """The environment for another process: one device, so that the smoke study's compiled programs fit."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"XLA_FLAGS": QUICK}
