"""What bounds a training on TPUs, as tables and a chart."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from ldm.figures.charts import INK
from ldm.study.conditions import with_conditions
from ldm.study.roofline import roofline
from ldm.study.tpu_plan import COLLECTIVES, SIZES, STEPS, sheet_of

BOUNDS = ("arithmetic", "links", "traffic")


def roofline_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `roofline`, to print.

    A chip's memory holds what the compiler says where it refused a program, else what the data sheet says.
    """
    room = found.groupby("topology")["room"].max()
    shown = pd.DataFrame(
        {
            "size": found["size"],
            "slice": found["topology"],
            "data x fsdp": found["mesh"],
            "micro-batches": found["micro_batches"],
            "GB a chip": found["memory"].map("{:.1f}".format),
            "of": [
                f"{sheet_of(slice_).memory if np.isnan(room[slice_]) else room[slice_]:.3g}"
                for slice_ in found["topology"]
            ],
            "fits": found["fits"].map({True: "yes", False: "no"}),
            "seconds a step": _range(found, 1, "{:.2g}"),
            "days": _range(found, STEPS / 86_400, "{:.2g}"),
            "chip-days": _range(found, found["chips"] * STEPS / 86_400, "{:,.0f}"),
        }
    )
    shown.loc[~found["fits"], ["seconds a step", "days", "chip-days"]] = ""
    return shown


def _range(found: pd.DataFrame, times: float | pd.Series, form: str) -> pd.Series:
    most = (found["most"] * times).map(form.format)
    return (found["least"] * times).map(form.format) + (" to " + most).where(found["most"].notna(), " or more")


def beside(rows: pd.DataFrame) -> pd.DataFrame:
    """Return `roofline_table` of the rows of trainings with what tells their networks apart: parameters and GFLOPs."""
    found, networks = roofline(rows), rows.drop_duplicates("size").set_index("size")
    shown = roofline_table(found)
    for place, (column, name) in enumerate({"params": "parameters", "gflops": "GFLOPs a pass"}.items(), 1):
        shown.insert(place, name, networks.loc[found["size"], column].map("{:,.0f}".format).to_numpy())
    return shown


def collectives(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the GB that a chip receives in a step, by kind of collective, to print.

    Those that no program uses are left out.

    So are batches in micro-batches, of whose messages the compiler counts those of one.
    """
    moved = rows[rows["metric"].isin(COLLECTIVES) & (with_conditions(rows)["micro_batches"] == 1)]
    found = (
        moved.pivot_table(index=["c", "size", "task"], columns="metric", values="value").reset_index().drop(columns="c")
    )
    kept = [name for name in COLLECTIVES if found.get(name, pd.Series(0)).any()]
    shown = {name: (found[name] / 1e9).map("{:.2f}".format) for name in kept}
    return found[["size", "task"]].rename(columns={"task": "slice"}).assign(**shown).rename_axis(columns=None)


def chart(found: pd.DataFrame) -> alt.Chart:
    """Draw the three bounds of a step against the size, a panel a slice.

    Exact sums of a compiled program have no interval.
    """
    long = found[found["fits"]].melt(
        id_vars=["size", "c", "topology"], value_vars=list(BOUNDS), var_name="of", value_name="seconds"
    )
    base = alt.Chart(long, width=460, height=170).encode(
        x=alt.X("size:N", sort=list(SIZES), title="model", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds a step"),
        color=alt.Color("of:N", title=None, sort=list(BOUNDS), scale=alt.Scale(scheme="category10")),
        tooltip=["size:N", "topology:N", "of:N", alt.Tooltip("seconds:Q", format=".3~g")],
    )
    panels = [
        (base.mark_line(opacity=0.6) + base.mark_point())
        .transform_filter(alt.datum.topology == topology)
        .properties(title=alt.Title(topology, fontSize=12.5, fontWeight="normal", color=INK))
        for topology in dict.fromkeys(found["topology"])
    ]
    return alt.vconcat(*panels, spacing=16).properties(description="Seconds a step, by what takes them and model size")
