"""A training killed at random: `python -m benchmarks.kills` kills one 20 times, lets it end, and compares to the bit.

Every start is a new process, checkpoints are written every few steps, and SIGKILL falls at random steps and moments, so
that some of them hit a checkpoint half written. A damaged one would be told in a warning, which is an error here.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from ldm.paths import ROOT

KILLS, STEPS, SAVED_EVERY = 20, 600, 5
MOMENT = 0.03  # seconds, at most, from the step that is drawn to the kill

TRAINING = """
import sys
sys.path.insert(0, {root!r})
import jax
import jax.numpy as jnp
import numpy as np
import ldm.training.loop
from ldm.hashing import digest

ldm.training.loop.SAVE_SECONDS = 0
config = ldm.training.loop.TrainConfig(images={steps} * 32, batch=32, learning_rate=1e-2, warmup_images=320)
rng = np.random.default_rng(0)
params = {{"a": rng.standard_normal((64, 256), np.float32) / 8, "b": np.zeros((256, 64), np.float32)}}

def loss(params, batch, key):
    answer = jnp.tanh(batch["x"] @ params["a"]) @ params["b"]
    return jnp.square(answer - batch["x"] - jax.random.normal(key, answer.shape)).mean(), {{}}

def train(report, folder=None):
    def batches(step):
        report(step)
        return {{"x": np.random.default_rng(step).standard_normal((32, 64), np.float32)}}

    state = ldm.training.loop.fit(loss, params, batches, config, folder=folder, log_steps={every})
    print("end", digest({{str(i): x for i, x in enumerate(jax.tree.leaves(state))}}, 16), flush=True)

train(lambda step: print("step", step, flush=True), {folder!r})
train(lambda step: None)
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What was killed, and how often."""

    kills: int = KILLS
    steps: int = STEPS


def killed(folder: Path, kills: int, steps: int = STEPS, seed: int = 0) -> tuple[list[int], str, str]:
    """(the steps begun when the kills fell, name of the end state, the same of an undisturbed run).

    Raises: RuntimeError where a start fails for another reason.
    """
    draws = random.Random(seed)
    code = TRAINING.format(root=str(ROOT), steps=steps, every=SAVED_EVERY, folder=str(folder))
    fell = []
    for target in [*sorted(draws.sample(range(1, steps), kills)), steps + 1]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error:checkpoint", "-c", code],
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ends = []
        for line in process.stdout:
            what, value = line.split()
            if what == "end":
                ends.append(value)
            elif int(value) >= target:
                time.sleep(draws.uniform(0, MOMENT))
                process.kill()
                fell.append(int(value))
                break
        _, said = process.communicate()
        if process.returncode != (-9 if target <= steps else 0):
            raise RuntimeError(f"The training ended with status {process.returncode}: {said[-2000:]}")
    return fell, *ends


def main() -> None:
    """Print, and keep whether the two ends are the same."""
    with tempfile.TemporaryDirectory() as folder:
        fell, end, undisturbed = killed(Path(folder) / "run", KILLS)
    same = end == undisturbed
    print(f"killed {len(fell)} times, at steps {', '.join(map(str, fell))} of {STEPS}")
    print(f"end state {end}, undisturbed {undisturbed}: {'the same to the bit' if same else 'DIFFERENT'}")
    row = measure.row(
        [float(same)] * len(fell),
        f"kill -9 at steps {', '.join(map(str, fell))}",
        task="kills",
        metric="killed, ends the same to the bit",
        train_steps=STEPS,
    )
    measure.keep(Case(), [row])
    sys.exit(not same)


if __name__ == "__main__":
    main()
