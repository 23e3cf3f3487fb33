"""What one waits for first: `python -m benchmarks.first`, from a new process to a picture on disk, to a training step.

Cold: nothing has been compiled before. Warm: what was compiled lies on the disk (XLA's cache, torch's). A picture is
one of a Stable Diffusion folder in small, which `python -m ldm draw` and diffusers both open; a training step is the
first one of `benchmarks.training`'s smaller UNet. Every wait is that of a new process, ours and theirs in turns.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.cases import CASES, SCALE, STEPS, Case

CAPTION = "a photo of a cat"
TRAINING = Case(task="train", **CASES[0])
ROUNDS = {"ldm": 3, "diffusers": 3, "diffusers, torch.compile": 1}  # the last compiles for minutes, and so goes last
OURS, _, COMPILED = ROUNDS
PICTURE, STEP = "a picture on disk", "a training step"


def ours_trains() -> None:
    from benchmarks import training

    training.ours(TRAINING, first=True)()


def theirs_trains(compiled: bool) -> None:
    from benchmarks import reference

    reference.training(TRAINING, reference.compiled if compiled else lambda net: net)()


def theirs_draws(folder: str, out: str, compiled: bool) -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    if compiled:
        from benchmarks import reference

        pipeline.unet = reference.compiled(pipeline.unet)
    pipeline(CAPTION, num_inference_steps=STEPS, guidance_scale=SCALE).images[0].save(out)


def command(what: str, who: str, folder: Path, out: Path) -> list[str]:
    """What a new process runs, with the interpreter before it."""
    compiled = who == COMPILED
    if what == STEP:
        call = "ours_trains()" if who == OURS else f"theirs_trains({compiled})"
    elif who == OURS:
        asked = [folder, CAPTION, "--steps", STEPS, "--guidance", SCALE, "--out", out]
        return ["-m", "ldm", "draw", *map(str, asked)]
    else:
        call = f"theirs_draws({str(folder)!r}, {str(out)!r}, {compiled})"
    return ["-c", f"from benchmarks.first import *; {call}"]


def waited(what: str, who: str, folder: Path, kept: Path) -> float:
    """Seconds of a new process that finds what was compiled in `kept`, and leaves it there."""
    from ldm.paths import ROOT

    out = kept / "picture.png"
    out.unlink(missing_ok=True)
    caches = {
        "JAX_COMPILATION_CACHE_DIR": str(kept / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "TORCHINDUCTOR_CACHE_DIR": str(kept / "torch"),
        "HF_HUB_OFFLINE": "1",
    }
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command(what, who, folder, out)],
        env=os.environ | caches,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - begin
    if done.returncode or (what == PICTURE and not out.is_file()):
        raise RuntimeError(f"{who} did not come to {what}:\n{done.stderr[-2000:]}")
    return seconds


def main() -> None:
    """Wait for everything; print each wait, and the middle of each kind; keep rows."""
    from tests.references.stable_diffusion import pipeline

    waits: dict[tuple[str, str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        pipeline(Path(place) / "vocabulary", "sd1", TRAINING.c).save_pretrained(folder)
        turns = [(turn, who) for turn in range(max(ROUNDS.values())) for who in ROUNDS if turn < ROUNDS[who]]
        for turn, who in sorted(turns, key=lambda pair: pair[1] == COMPILED):
            for what in (PICTURE, STEP):
                with tempfile.TemporaryDirectory(dir=place) as kept:
                    for state in ("cold", "warm"):
                        wait = waited(what, who, folder, Path(kept))
                        waits.setdefault((what, who, state), []).append(wait)
                        print(f"{turn + 1}: {what}, {who}, {state}: {wait:.1f} s", flush=True)
                keep(waits, what)
    for (what, who, state), values in waits.items():
        print(f"{what:20}{who:28}{state:6}{median(values):7.1f} s  [{min(values):.1f}, {max(values):.1f}]")


def keep(waits: dict[tuple[str, str, str], list[float]], what: str) -> None:
    """Write the rows of what has been waited for so far."""
    from benchmarks import measure

    rows = [
        measure.row(values, who, state, task="first", c=TRAINING.c, metric=f"seconds to {what}")
        for (of, who, state), values in waits.items()
        if of == what
    ]
    measure.keep(Case(task=f"first, {what}", **CASES[0]), rows)


if __name__ == "__main__":
    main()
