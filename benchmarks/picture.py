"""Seconds a picture: `python -m benchmarks.picture`, of one network evaluation of each size, and of all else.

All else is the text tower, the decoder and starting the loop: the same for every size, and so the larger a share
of the price the smaller the network. Both are read off the time of few and of many guided steps. The networks are
fresh: a trained one takes the same time, and not all sizes ship.
"""

from __future__ import annotations

import statistics

from benchmarks import measure
from benchmarks.cases import CASES, Case
from ldm.diffusion.solvers import plan
from ldm.profiles import OPEN_EPS
from ldm.tasks import pretrain, register
from ldm.tasks.generate import Generator

CAPTION = "a small rose at the bottom, papercut style, on a checkered purple and red background"
FEW, MANY = 2, 12  # steps, of two evaluations each


def main() -> None:
    """Time every size in turns, so that all see the same machine; print the middle of the rounds; keep rows."""
    codec, text = pretrain.frozen_networks(OPEN_EPS)
    batch = OPEN_EPS.batch
    sizes = register.trained_sizes(OPEN_EPS)
    models = {c: pretrain.network(OPEN_EPS, c) for c in sizes}

    def draw(c: int, steps: int) -> float:
        structure, params = models[c]
        generator = Generator(profile=OPEN_EPS, structure=structure, params=params, codec=codec, text=text)
        return measure.seconds(lambda: list(generator.images([CAPTION] * batch, plan("ddim", steps), 2.0)))

    for c in models:
        draw(c, FEW)  # compiles
    rounds = [{c: (draw(c, FEW), draw(c, MANY)) for c in models} for _ in range(measure.ROUNDS)]
    for c in models:
        evaluations = [(many - few) / (2 * (MANY - FEW) * batch) for few, many in (r[c] for r in rounds)]
        rest = [r[c][0] / batch - 2 * FEW * each for r, each in zip(rounds, evaluations, strict=True)]
        case = Case(task="picture", **{**CASES[0], "c": c, "batch": batch})
        rows = []
        for metric, values in (("seconds an evaluation", evaluations), ("seconds besides", rest)):
            middle = statistics.median(values)
            print(
                f"c = {c:2}  {metric:22}{1000 * middle:8.3f} ms  [{1000 * min(values):.3f}, {1000 * max(values):.3f}]"
            )
            rows.append(
                measure.row(
                    values,
                    f"one picture of a batch of {batch}",
                    task=case.task,
                    c=c,
                    gflops=case.gflops,
                    metric=metric,
                )
            )
        measure.keep(case, rows)


if __name__ == "__main__":
    main()
