"""The queue for a GPU that is at hand for minutes: `python -m launch.gpu --minutes 9`, or `--plan` to list it.

On a machine that is lent call by call: `python -m launch.gpu --minutes 8 --out $OUT` in every call, as long as it is
the same machine; here, `python -m launch.gpu --home FOLDER` for what came back of each, then `make compact`.
`--rehearse FOLDER` tries all of it on a CPU, at a size that finishes.

Where a checkout has to be small to travel, this is what it needs, some 40 MB, beside JAX and tyro:

    git sparse-checkout set --no-cone /ldm /launch /art /results /weights/open /weights/efficientnet_lite0.safetensors
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tyro

from ldm.__main__ import call, once, report


def main(
    minutes: float = 9.0,
    plan: bool = False,
    out: Path | None = None,
    home: Path | None = None,
    rehearse: Path | None = None,
) -> None:
    """Do of the queue for a GPU what fits into the minutes, packing what has to come home into OUT (runs/home).

    Plan: only list it. Home: unpack what came home in this folder. Rehearse: in a small copy of this checkout that is
    made in this folder, with tiny networks.
    """
    from ldm.paths import ROOT

    if minutes <= 0:
        raise ValueError(
            f"minutes = {minutes:g}: expected a positive number; give the minutes that the machine is at hand."
        )
    if home:
        from launch.gpu.pack import unpack

        print(f"{len(unpack(home, ROOT))} files are here now; `make compact` makes them part of the study.")
    elif rehearse:
        from launch.gpu.rehearsal import rehearse as begin

        begin(rehearse, minutes, out)
    else:
        from launch.gpu.queue import queue

        do(queue(), minutes, plan, out or ROOT / "runs" / "home")


DRAWN = 1024  # pictures that a card draws at once, where a CPU draws a few


def do(commands: list, minutes: float, plan: bool, out: Path) -> None:
    """List what fits, then do it. Raises: RuntimeError, naming what failed."""
    from dataclasses import replace

    import jax

    from launch.gpu import run as task
    from ldm import profiles
    from ldm.paths import ROOT, RUNS
    from ldm.study.results import Store

    store = Store(ROOT)
    print(task.timetable_text(task.timetable(commands, store, minutes)), flush=True)
    if plan:
        return
    if jax.default_backend() != "cpu":
        for name in ("laptop-eps", "laptop-v"):
            profiles.PROFILES[name] = replace(profiles.PROFILES[name], batch=DRAWN)
    jax.config.update("jax_default_matmul_precision", "highest")  # a GPU would round float32 to 10 bits, a CPU does not
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(RUNS / "compiled"))  # for the next call on this machine
    print(f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, jax {jax.__version__}", flush=True)
    if failed := task.run(commands, call, minutes=minutes, out=out, store=store, ahead=compile_ahead):
        raise RuntimeError(f"{len(failed)} of the commands failed: " + " | ".join(failed))


def compile_ahead(command) -> None:
    """Begin to compile a training in the background, while the one before it runs."""
    from ldm import profiles
    from ldm.tasks import pretrain, together

    training = command.training
    settings = [profiles.get(name) for name in training.names]
    planned = together.pending(settings, training.c, training.seeds, data=pretrain.on_device(settings[0]))
    if planned:
        together.begun(planned)


if __name__ == "__main__":
    with report():
        tyro.cli(main, args=once(sys.argv[1:]), prog="python -m launch.gpu")
