"""Seconds a pass: `python -m benchmarks.levers`, of each kind of pass that a lever makes, for one picture of a batch.

Sampling in few and in many steps, both timed; the difference is that of so many passes. Whole passes, two at once as
guidance asks or one alone, passes with the deep features of the step before, and passes by weights in fewer bits, of
every size that ships. Of a search, a look of the verifier and a decoding, under c = 0.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import jax
import numpy as np

from benchmarks import measure
from benchmarks.cases import CASES, Case
from ldm import profiles
from ldm.diffusion.sampler import Reuse, image_keys, sample
from ldm.networks.quantization import quantized
from ldm.profiles import DEFAULT
from ldm.study.levers import ALONE, DECODED, LOOK, WHOLE, LeverEvaluator
from ldm.tasks import models, pretrain
from ldm.training.gradients import half

ADDED = (LOOK, DECODED)  # by a search, of no size
FEW, MANY = 2, 10  # steps
KINDS: dict[str, tuple[Callable, int]] = {  # kind of pass -> (what is done to the weights, depth that is computed)
    WHOLE: (lambda params: params, 0),
    ALONE: (lambda params: params, 0),
    "shallow 1": (lambda params: params, 1),
    "shallow 3": (lambda params: params, 3),
    "bfloat16": (half, 0),
    "int8": (quantized, 0),
}


def main() -> None:
    """Time every size and kind in turns, so that all see the same machine; print the middle of the rounds; keep rows.

    In shallow ones the first of all steps is whole, in FEW as in MANY, so the difference has shallow passes alone.
    """
    profile = profiles.get(DEFAULT)
    context = np.zeros((profile.batch, profile.tokens, profile.context), np.float32)
    keys = image_keys(0, range(profile.batch))
    nets = {c: pretrain.network(profile, c) for c in models.shipped_sizes(profile)}
    weights = {(c, kind): jax.device_put(change(nets[c][1])) for c in nets for kind, (change, _) in KINDS.items()}

    def draw(c: int, kind: str, steps: int) -> float:
        depth, null = KINDS[kind][1], None if kind == ALONE else context
        return measure.seconds(
            lambda: sample(
                nets[c][0],
                weights[c, kind],
                profile.plan("ddim", steps),
                context,
                null,
                1.0 if null is None else 2.0,
                keys,
                predict=profile.predict,
                shape=profile.latent_shape,
                reuse=Reuse(10**6, depth) if depth else None,
            ).block_until_ready()
        )

    evaluator = LeverEvaluator(profile)
    clip, codec = evaluator.verifier, evaluator.codec
    latents = np.zeros((profile.batch, *profile.latent_shape), np.float32)
    images, captions = codec.decode(latents), [""] * profile.batch
    added: dict[tuple[int, str], Callable[[], object]] = {
        (0, LOOK): lambda: clip(images, captions),
        (0, DECODED): lambda: codec.decode(latents),
    }

    def took(case: tuple[int, str]) -> float:
        return measure.seconds(added[case]) if case in added else draw(*case, MANY) - draw(*case, FEW)

    cases = [*weights, *added]
    for case in cases:
        took(case)  # compiles
    rounds = [{case: took(case) for case in cases} for _ in range(measure.ROUNDS)]
    for c, kind in cases:
        passes = 1 if c == 0 else (1 if kind == ALONE else 2) * (MANY - FEW)
        passes *= profile.batch
        values = [each[c, kind] / passes for each in rounds]
        middle = statistics.median(values)
        print(f"c = {c:2}  {kind:10}{1000 * middle:8.3f} ms  [{1000 * min(values):.3f}, {1000 * max(values):.3f}]")
        case = Case(task=f"pass, {kind}", **{**CASES[0], "c": c})  # of the profile's batch
        row = measure.row(
            values,
            f"one picture of a batch of {profile.batch}",
            profile=profile.name,
            task="pass",
            c=c,
            lever=kind,
            metric="seconds a pass",
        )
        measure.keep(case, [row])


if __name__ == "__main__":
    main()
