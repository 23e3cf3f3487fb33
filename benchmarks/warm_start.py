"""A warm start: `python -m benchmarks.warm_start`, from a new process to a sampler that is ready to draw.

Everything was compiled before and lies in the persistent cache; what is left is to import, to read the
weights, to trace the network and to load the program. One step of a full batch of the largest size of the first
edition, by the second edition's model of it, which ships.
What the other files of this folder import (torch) is imported by the parent process alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

RUNS = 5
CAPTION = "a small owl at the bottom, papercut style, on a checkered purple and red background"


def start() -> dict[str, float]:
    """Seconds of each part, in this process."""
    times = [time.perf_counter()]
    from ldm.profiles import LAPTOP, OPEN_EPS
    from ldm.tasks import pretrain
    from ldm.tasks.generate import Generator

    times.append(time.perf_counter())
    codec, text = pretrain.frozen_networks(OPEN_EPS)
    structure, params = pretrain.load_pretrained(OPEN_EPS, LAPTOP.family[-1], OPEN_EPS.length)
    times.append(time.perf_counter())
    generator = Generator(profile=OPEN_EPS, structure=structure, params=params, codec=codec, text=text)
    context = text.encode([CAPTION] * OPEN_EPS.batch)
    next(generator.latents(context, OPEN_EPS.plan("ddim", 1), 2.0))
    times.append(time.perf_counter())
    return {name: b - a for name, a, b in zip(("imports", "weights", "sampler"), times, times[1:], strict=False)}


def main() -> None:
    """Run it in fresh processes, the first of which fills the cache; print the middle of the others; keep rows."""
    from benchmarks import measure

    child = [sys.executable, "-c", "import json; from benchmarks.warm_start import start; print(json.dumps(start()))"]
    from ldm.paths import ROOT
    from ldm.profiles import LAPTOP

    case = measure.Case(task="warm start", **{**measure.CASES[0], "c": LAPTOP.family[-1]})
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    runs = []
    for _ in range(RUNS + 1):
        begin = time.perf_counter()
        done = subprocess.run(child, capture_output=True, text=True, check=True, cwd=ROOT, env=cache | os.environ)
        runs.append(json.loads(done.stdout) | {"whole process": time.perf_counter() - begin})
    rows = []
    for part in runs[0]:
        values = [run[part] for run in runs[1:]]
        print(f"{part:15}{statistics.median(values):6.2f} s")
        rows.append(
            measure.row(
                values,
                "new process, warm compilation cache",
                task=case.task,
                c=case.c,
                metric=f"seconds: {part}",
            )
        )
    measure.keep(case, rows)


if __name__ == "__main__":
    main()
