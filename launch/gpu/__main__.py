"""The queue for a GPU that is at hand for minutes: `python -m launch.gpu --minutes 9`, or `--plan` to list it.

On a machine that is lent call by call: `python -m launch.gpu --minutes 8.5 --out $OUT` in every call, as long as it is
the same machine; here, `python -m launch.gpu --home FOLDER` for what came back of each, then `make compact`.
`--rehearse FOLDER` tries all of it on a CPU, at a size that finishes. One process packs and keeps the time and loads no
JAX, another one computes: so the end, a signal or a crash costs what was under way, and nothing that was finished.

Where a checkout has to be small to travel, this is what it needs, some 40 MB, beside JAX and tyro:

    git sparse-checkout set --no-cone /ldm /launch /art /results /weights/open /weights/efficientnet_lite0.safetensors
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tyro

from ldm.__main__ import once, report


def main(
    minutes: float = 9.0,
    plan: bool = False,
    out: Path | None = None,
    home: Path | None = None,
    rehearse: Path | None = None,
) -> None:
    """Do what fits of the queue for a GPU into the minutes, and pack what has to come home into OUT (runs/home).

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


# A compiler that times fewer ways to multiply is done sooner, by minutes; and most of a card's memory is for arrays.
QUICK = "--xla_gpu_autotune_level=1 --xla_gpu_enable_triton_gemm=false"
MEMORY = "0.9"


def do(commands: list, minutes: float, plan: bool, out: Path, *asked: str) -> None:
    """List what fits, then have a worker do it, asked with these words. Raises: RuntimeError, naming what failed."""
    from launch.gpu.run import run, timetable, timetable_text
    from launch.gpu.worker import Worker
    from ldm.paths import ROOT, RUNS
    from ldm.study.results import Store

    store = Store(ROOT)
    print(timetable_text(timetable(commands, store, minutes)), flush=True)
    if plan:
        return
    worker = Worker(
        [sys.executable, "-m", "launch.gpu.worker", *asked],
        out / "log.txt",
        {
            "JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR", str(RUNS / "compiled")),
            "XLA_PYTHON_CLIENT_MEM_FRACTION": MEMORY,
            "TQDM_MININTERVAL": "10",
            "PYTHONUNBUFFERED": "1",
        },
        {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {QUICK}".strip()},
    )
    if failed := run(commands, worker, minutes=minutes, out=out, store=store):
        raise RuntimeError(f"{len(failed)} of the commands failed: " + " | ".join(failed))


if __name__ == "__main__":
    with report():
        tyro.cli(main, args=once(sys.argv[1:]), prog="python -m launch.gpu")
