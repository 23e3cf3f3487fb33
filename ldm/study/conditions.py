"""Under which conditions a row was computed: machine, arithmetic, micro-batches, recomputed blocks and mesh.

Of a benchmark they also say who was timed, and in which setting.
"""

from __future__ import annotations

import re

import pandas as pd

CONDITIONS = ("machine", "dtype", "micro_batches", "remat", "mesh", "contender", "setting")


def with_conditions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with all columns of `CONDITIONS`, read from `protocol` in rows that are older than the columns.

    Rows of the studies benchmark, training and tpu_plan gave their conditions in the sentence of their protocol alone
    until it had columns beside it, those of the first also who was timed, and in which setting. What neither says is
    None. Other studies' rows are left as they are.
    """
    rows = rows.copy()
    for name in CONDITIONS:
        given = rows[name].astype(object) if name in rows else pd.Series(None, index=rows.index, dtype=object)
        said = [of_protocol(*row).get(name) for row in zip(rows["study"], rows["protocol"], strict=True)]
        rows[name] = given.where(given.notna(), pd.Series(said, index=rows.index, dtype=object))
    return rows


def latest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the machine measured last, if there are any, with their conditions in columns."""
    rows = with_conditions(rows)
    return rows[rows["machine"] == rows.loc[rows["created"].idxmax(), "machine"]] if len(rows) else rows


def newest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each task and metric from the machine that measured it last: no comparison mixes two."""
    rows = with_conditions(rows)  # older rows name their machine in the protocol alone
    machine = rows.sort_values("created").groupby(["task", "metric"], dropna=False)["machine"].transform("last")
    return rows[rows["machine"] == machine.reindex(rows.index)]


def of_protocol(study: str, protocol: str) -> dict[str, str | int | bool]:
    """Return what the protocol of an older row says of its conditions, by column."""
    words, said = protocol.split("; "), {}
    if study in ("benchmark", "training"):
        said["machine"] = words[-1]
    arithmetic = [word for word in words if word in ("float32", "bfloat16")]
    if study in ("benchmark", "training", "tpu_plan") and arithmetic:
        said["dtype"] = arithmetic[0]
    if study == "benchmark" and len(words) > 1:
        timed = [word for word in words[:-1] if word not in arithmetic]
        said |= {"contender": timed[0]} if timed else {}
        said |= {"setting": timed[-1]} if len(timed) > 1 else {}
    if study in ("training", "tpu_plan"):
        said["remat"] = "blocks computed twice" in words
    if study == "tpu_plan" and (found := re.search(r"data x fsdp = (\w+); .*; (\d+) parts?$", protocol)):
        said |= {"mesh": found[1], "micro_batches": int(found[2])}
    if study == "training" and (found := re.search(r"^(\d+) x .*; devices: (\d+), sharing a state: (\d+); ", protocol)):
        micro_batches, devices, fsdp = map(int, found.groups())
        said |= {"mesh": f"{devices // fsdp}x{fsdp}", "micro_batches": micro_batches}
    return said
