"""The queue for a GPU that is at hand for minutes: `python -m launch.gpu --minutes 9`, or `--plan` to list it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import tyro

from ldm.__main__ import call, once, report


def main(
    minutes: float = 9.0,
    profile: Literal["gpu", "smoke"] = "gpu",
    plan: bool = False,
    tflops: float = 0.0,
    out: Path | None = None,
) -> None:
    """Do of the queue for a GPU what fits into the minutes, packing what has to come home into OUT; with --plan, only
    list it.

    Smoke: the same for the smoke profile's family, on a CPU. Tflops, of a plan: of a card that is not here.
    """
    from launch.gpu import run as task
    from launch.gpu.queue import queue
    from ldm import profiles
    from ldm.paths import ROOT
    from ldm.study.results import Store, installed_versions

    if tflops and not plan:
        raise ValueError(f"tflops = {tflops:g}: expected with --plan alone; a run goes by what this machine does.")
    if minutes <= 0:
        raise ValueError(
            f"minutes = {minutes:g}: expected a positive number; give the minutes that the machine is at hand."
        )
    store, device = Store(ROOT), task.preflight()
    print(
        f"{device.kind}: {device.tflops:.3g} bfloat16 TFLOP/s, {device.memory:.3g} GB; {installed_versions()}",
        flush=True,
    )
    device = device._replace(tflops=tflops or device.tflops)
    chosen = profiles.get(profile)
    tasks = queue(chosen)
    print(task.timetable_text(task.timetable(tasks, store, device, minutes, chosen)), flush=True)
    if not plan:
        failed = task.run(
            tasks, call, minutes=minutes, out=out or ROOT / "runs" / "home", store=store, device=device, profile=chosen
        )
        if failed:
            raise RuntimeError(f"{len(failed)} of the tasks failed: " + " | ".join(failed))


if __name__ == "__main__":
    with report():
        tyro.cli(main, args=once(sys.argv[1:]), prog="python -m launch.gpu")
