"""How fast: contenders timed in turns, beside this machine's own matrix-multiply rate."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd

from benchmarks.cases import Case, cases
from ldm.hashing import key
from ldm.paths import ROOT
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.training.chips import machine

ROUNDS = 5
ROUND_SECONDS = 2


def matmul_gflops(n: int = 2048) -> float:
    """The rate of one n x n x n float32 product, the best of ten."""
    a = jnp.ones((n, n))
    product = jax.jit(jnp.matmul)
    return 2 * n**3 / min(seconds(lambda: product(a, a).block_until_ready()) for _ in range(10)) / 1e9


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def race(contenders: dict[str, Callable[[], object]], images: int) -> dict[str, list[float]]:
    """Images a second of each contender in each round; in turns, so that all see the same machine."""
    for name, call in list(contenders.items()):
        try:
            call()  # compiles
        except Exception as error:
            if name == "ldm":
                raise
            print(f"without {name}, which fails here: {str(error).splitlines()[0]}")
            del contenders[name]
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            # The first call shares the cores with the other's threads, which wait awake for a moment.
            calls = math.ceil(ROUND_SECONDS / seconds(call))
            rates[name].append(images * calls / seconds(lambda: [call() for _ in range(calls)]))  # noqa: B023
    return rates


def row(values: Sequence[float], contender: str, setting: str | None = None, **columns: Any) -> Row:
    """The row of a measurement: the median of its rounds, between the least and the greatest.

    contender: who was timed, or what; setting: in which one. They and the machine are the row's protocol, unless the
    columns hold another.
    """
    protocol = "; ".join(said for said in (contender, setting, machine()) if said)
    return Row(
        study="benchmark",
        machine=machine(),
        value=statistics.median(values),
        lo=min(values),
        hi=max(values),
        n=len(values),
        contender=contender,
        setting=setting,
        **{"profile": "laptop-eps", "protocol": protocol, **columns},
    )


def keep(case: object, rows: Iterable[Row], **more: object) -> None:
    """Write a case's rows, under a key of this machine and of whatever `more` the case depends on."""
    Store(ROOT).write(key(case, machine=machine(), **more), rows)


def report(case: Case, rates: dict[str, list[float]], matmul: float) -> pd.DataFrame:
    """The table of a case; its rows go to the store, under a key of this machine."""
    middle = {name: statistics.median(values) for name, values in rates.items()}
    table = pd.DataFrame(
        [
            {
                "task": case.task,
                "c": case.c,
                "latents": case.latents,
                "batch": case.batch,
                "who": name,
                "images/s": round(middle[name], 2),
                "of matmul rate": f"{middle[name] * case.evaluations * case.gflops / matmul:.1%}",
                "ours is": f"{middle['ldm'] / middle[name]:.2f}x",
            }
            for name in rates
        ]
    )
    rows = [
        row(
            values,
            name,
            f"{case.latents}, batch {case.batch}",
            size=case.network,
            task=case.task,
            c=case.c,
            params=case.params,
            gflops=case.gflops,
            sampler="ddim" if case.steps else None,
            steps=case.steps or None,
            metric="images per second",
            nfe=case.evaluations,
        )
        for name, values in rates.items()
    ]
    rate = row(
        [matmul],
        "a matrix product",
        f"float32, 2048 x 2048, beside batch {case.batch}",
        task=case.task,
        c=case.c,
        metric="matmul gflops",
        dtype="float32",
    )
    keep(case, [*rows, rate])
    return table


def main(ours: Callable[[Case], Callable[[], object]], task: str, **more: int) -> None:
    """Race ours against diffusers' network, as it is and compiled, on every case; print a table of each."""
    from benchmarks import reference  # torch, which those who only name a case do without

    theirs = {"train": reference.training, "sample": reference.sampling}[task]
    matmul = matmul_gflops()
    print(f"matrix-multiply rate: {matmul:.0f} GFLOP/s in float32")
    for case in cases(task, **more):
        contenders = {
            "ldm": ours(case),
            "diffusers": theirs(case),
            "diffusers, torch.compile": theirs(case, reference.compiled),
        }
        print(report(case, race(contenders, case.batch), matmul).to_string(index=False), flush=True)
