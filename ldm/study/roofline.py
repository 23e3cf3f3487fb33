"""How long a step may take: what its arithmetic, its messages and its traffic with memory take at full rate.

The roofline model (Williams et al. 2009), from the rows of `plan` and the chips' data sheets. What a training reaches
of it is for a TPU to say.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ldm.networks import cost
from ldm.study.conditions import with_conditions
from ldm.study.tpu_plan import BATCH, COLLECTIVES, CONTEXT, SIDE, SIZES, STEPS, TOKENS, chips, sheet_of

SENT = pd.Series(
    {name: 2 if name == "all-reduce" else 1 for name in COLLECTIVES}
)  # times a device receives a result's bytes


def roofline(rows: pd.DataFrame) -> pd.DataFrame:
    """Say of the rows of plans, a line each, the smallest model first: does it fit, and how long does a step take.

    Columns: size, c, topology, chips, batch, mesh (data x fsdp), micro_batches; memory, of a device, and room, what the
    compiler grants where it says so, in GB; fits; arithmetic, links and traffic: seconds that a step's
    FLOPs, bytes of collectives (sent and received at once) and bytes of memory take at the data sheet's rates; least,
    the longer of the first two, below which no step is, and most, the longest of the three: the compiler counts every
    operand as if it came from memory, also one that is still on the chip. Seconds are missing where it does not fit.

    FLOPs are counted (`cost`), since the compiler counts the inside of a loop once: three forward passes an image, four
    where blocks are computed twice. For a batch in micro-batches, such a loop, links, traffic and `most` are missing.
    """
    found = []
    for (c, topology, _), part in with_conditions(rows).groupby(["c", "task", "protocol"], sort=True):
        one, sheet, first = part.set_index("metric")["value"], sheet_of(topology), part.iloc[0]
        fits, whole = "flops" in one, first["micro_batches"] == 1
        passes = cost.PASSES + int(first["remat"])
        flops = passes * first["gflops"] * 1e9 * first["images_seen"] / chips(topology)
        times = {
            "arithmetic": flops / (sheet.tflops * 1e12) if fits else np.nan,
            "traffic": one.get("traffic", np.nan) / (sheet.bandwidth * 1e9) if whole else np.nan,
            "links": (one * SENT).sum(min_count=1) / (sheet.links / 2 * 1e9) if whole else np.nan,
        }
        found.append(
            {
                "size": first["size"],
                "c": c,
                "topology": topology,
                "chips": chips(topology),
                "batch": first["images_seen"],
                "mesh": first["mesh"],
                "micro_batches": int(first["micro_batches"]),
                "memory": one["memory"] / 1e9,
                "room": one.get("room", np.nan) / 1e9,
                "fits": fits,
                **times,
                "least": np.fmax(times["arithmetic"], times["links"]),
                "most": max(times.values()) if whole else np.nan,
            }
        )
    return pd.DataFrame(found)


def whole_paper(share: tuple[float, float] = (0.2, 0.6)) -> tuple[float, tuple[float, float]]:
    """Return FLOPs of the paper's eleven trainings, and the v5e chip-days that they take between these shares of peak.

    Counted, a backward pass as two forward ones; the autoencoder, the text tower, finetuning and sampling are not in
    it.
    Raises: ValueError for shares outside 0 to 1 or upside down.
    """
    if not 0 < share[0] <= share[1] <= 1:
        raise ValueError(f"share = {list(share)}: expected two numbers between 0 and 1, the smaller first.")
    flops = sum(cost.PASSES * cost.unet_gflops(c, SIDE, TOKENS, CONTEXT) * 1e9 for c in SIZES.values()) * STEPS * BATCH
    most, least = (flops / (part * sheet_of("v5e").tflops * 1e12) / 86_400 for part in share)
    return flops, (least, most)
