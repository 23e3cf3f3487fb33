"""The paper's family: Table 1 as data, and ours beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ldm.networks import sizes
from ldm.networks.cost import groups, heads, norm_cost, unet_gflops, unet_params
from ldm.networks.sizes import Network

TABLE1 = Path(__file__).with_name("table1.csv")


class Table(pd.DataFrame):
    """A data frame that prints all its columns, however wide."""

    def __repr__(self) -> str:
        return self.to_string(index=False)


def table1() -> Table:
    """Return Table 1 of the paper, a row a model: what we count, and what the paper prints beside it.

    Columns: `name`, `c`, `params`, `gflops`, `norm_cost` (counted here), `params_m_paper`
    (millions), `gflops_paper`, `norm_cost_paper`, `fid_paper`, `clip_paper`, and `gflops_error`, by
    how much the printed GFLOPs depart from the counted (0.01 is one per cent). The row 39M stands
    out: see `erratum()`.
    """
    paper = pd.read_csv(TABLE1)
    c = paper["base_filters"]
    gflops = c.map(unet_gflops)
    return Table(
        {
            "name": paper["name"],
            "c": c,
            "params": c.map(unet_params),
            "gflops": gflops.round(2),
            "norm_cost": c.map(norm_cost).round(4),
            "params_m_paper": paper["params_millions_reported"],
            "gflops_paper": paper["gflops_reported"],
            "norm_cost_paper": paper["norm_cost_reported"],
            "gflops_error": (paper["gflops_reported"] / gflops - 1).round(4),
            "fid_paper": paper["fid_reported"],
            "clip_paper": paper["clip_reported"],
        }
    )


def erratum() -> str:
    """Return why the 25.3 GFLOPs printed for 39M cannot be right, in numbers."""
    table = table1().set_index("name")
    row, full = table.loc["39M"], table.loc["866M"]
    return (
        f"Table 1 prints {row.gflops_paper} GFLOPs for 39M. Divided by the {full.gflops_paper} of "
        f"866M that is {row.gflops_paper / full.gflops_paper:.2f}, but the normalised cost printed "
        f"beside it is {row.norm_cost_paper:.2f}. Counting gives {row.gflops:.1f} GFLOPs, and "
        f"{row.gflops:.1f} / {full.gflops:.1f} = {row.norm_cost:.2f}: the normalised cost is "
        "right, the GFLOPs are not."
    )


def family_table(
    widths: Iterable[int], size: int = 64, tokens: int = 77, context: int = 1024, network: Network = "unet"
) -> Table:
    """Return what UNets of these widths cost on one's own latents.

    Columns: `c`, `params`, `gflops` (of one pass on one image), `norm_cost` (relative to c = 320 on
    the same latents, the paper's unit), `groups`, `heads`.
    """
    rows = [
        {
            "c": c,
            "params": sizes.params(network, c, context),
            "gflops": round(sizes.gflops(network, c, size, tokens, context), 4),
            "norm_cost": round(sizes.norm_cost(network, c, size, tokens, context), 5),
            "groups": groups(c),
            "heads": heads(c),
        }
        for c in widths
    ]
    return Table(rows)
