"""How long a step may take: what its arithmetic, its messages and its traffic with memory take at full rate.

The roofline model (Williams et al. 2009), from the rows of `plan` and the chips' data sheets. What a training reaches of
it is for a TPU to say.
"""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from ldm import cost
from ldm.charts import INK
from ldm.plan import BATCH, COLLECTIVES, CONTEXT, SIDE, SIZES, STEPS, TOKENS, chips, sheet_of

BOUNDS = ("arithmetic", "links", "traffic")
SENT = pd.Series({name: 2 if name == "all-reduce" else 1 for name in COLLECTIVES})  # times a device receives a result's bytes


def roofline(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the rows of plans a line each, the smallest model first: does it fit, and how long does a step take.

    Columns: size, c, topology, chips, batch, laid (the protocol without the compiler's name); memory, of a device, and
    room, what the compiler grants where it says so, in GB; fits; arithmetic, links and traffic: seconds that a step's
    FLOPs, bytes of collectives (sent and received at once) and bytes of memory take at the data sheet's rates; least,
    the longer of the first two, below which no step is, and most, the longest of the three: the compiler counts every
    operand as if it came from memory, also one that is still on the chip. Seconds are missing where it does not fit.

    FLOPs are counted (`cost`), since the compiler counts the inside of a loop once: three forward passes an image, four
    where blocks are computed twice. For a batch in parts, which is such a loop, links, traffic and `most` are missing.
    """
    found = []
    for (c, topology, protocol), part in rows.groupby(["c", "task", "protocol"], sort=True):
        one, sheet, first = part.set_index("metric")["value"], sheet_of(topology), part.iloc[0]
        fits, whole = "flops" in one, "; 1 part" in protocol
        passes = cost.PASSES + ("computed twice" in protocol)
        flops = passes * first["gflops"] * 1e9 * first["images_seen"] / chips(topology)
        times = {
            "arithmetic": flops / (sheet.tflops * 1e12) if fits else np.nan,
            "traffic": one.get("traffic", np.nan) / (sheet.bandwidth * 1e9) if whole else np.nan,
            "links": (one * SENT).sum(min_count=1) / (sheet.links / 2 * 1e9) if whole else np.nan,
        }
        found.append({
            "size": first["size"], "c": c, "topology": topology, "chips": chips(topology), "batch": first["images_seen"],
            "laid": protocol.split("; ", 1)[1], "memory": one["memory"] / 1e9, "room": one.get("room", np.nan) / 1e9, "fits": fits, **times,
            "least": np.fmax(times["arithmetic"], times["links"]), "most": max(times.values()) if whole else np.nan,
        })  # fmt: skip
    return pd.DataFrame(found)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """`roofline`, to print; what a chip's memory holds as the compiler says where it refused a program, else the data sheet."""
    room = found.groupby("topology")["room"].max()
    shown = pd.DataFrame({
        "size": found["size"],
        "slice": found["topology"],
        "data x fsdp": found["laid"].str.extract(r"data x fsdp = (\w+)")[0],
        "parts": found["laid"].str.extract(r"(\d+) part")[0],
        "GB a chip": found["memory"].map("{:.1f}".format),
        "of": [f"{sheet_of(slice_).memory if np.isnan(room[slice_]) else room[slice_]:.3g}" for slice_ in found["topology"]],
        "fits": found["fits"].map({True: "yes", False: "no"}),
        "seconds a step": _range(found, 1, "{:.2g}"),
        "days": _range(found, STEPS / 86_400, "{:.2g}"),
        "chip-days": _range(found, found["chips"] * STEPS / 86_400, "{:,.0f}"),
    })  # fmt: skip
    shown.loc[~found["fits"], ["seconds a step", "days", "chip-days"]] = ""
    return shown


def _range(found: pd.DataFrame, times: float | pd.Series, form: str) -> pd.Series:
    most = (found["most"] * times).map(form.format)
    return (found["least"] * times).map(form.format) + (" to " + most).where(found["most"].notna(), " or more")


def collectives(rows: pd.DataFrame) -> pd.DataFrame:
    """GB that a chip receives in a step, by kind of collective, to print; kinds that no program uses are left out.

    So are batches in parts, of whose messages the compiler counts those of one part.
    """
    moved = rows[rows["metric"].isin(COLLECTIVES) & rows["protocol"].str.contains("; 1 part")]
    found = moved.pivot_table(index=["c", "size", "task"], columns="metric", values="value").reset_index().drop(columns="c")
    kept = [name for name in COLLECTIVES if found.get(name, pd.Series(0)).any()]
    shown = {name: (found[name] / 1e9).map("{:.2f}".format) for name in kept}
    return found[["size", "task"]].rename(columns={"task": "slice"}).assign(**shown).rename_axis(columns=None)


def chart(found: pd.DataFrame) -> alt.Chart:
    """The three bounds of a step against the size, a panel a slice; exact sums of a compiled program have no interval."""
    long = found[found["fits"]].melt(
        id_vars=["size", "c", "topology"], value_vars=list(BOUNDS), var_name="of", value_name="seconds"
    )
    base = alt.Chart(long, width=460, height=170).encode(
        x=alt.X("size:N", sort=list(SIZES), title="model"),
        y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds a step"),
        color=alt.Color("of:N", title=None, sort=list(BOUNDS), scale=alt.Scale(scheme="category10")),
        tooltip=["size:N", "topology:N", "of:N", alt.Tooltip("seconds:Q", format=".3~g")],
    )
    panels = [
        (base.mark_line(opacity=0.6) + base.mark_point()).transform_filter(alt.datum.topology == topology).properties(
            title=alt.Title(topology, fontSize=12.5, fontWeight="normal", color=INK))
        for topology in dict.fromkeys(found["topology"])
    ]  # fmt: skip
    return alt.vconcat(*panels, spacing=16).properties(description="Seconds a step, by what takes them and model size")


def whole_paper(share: tuple[float, float] = (0.2, 0.6), kind: str = "v5e") -> tuple[float, tuple[float, float]]:
    """FLOPs of the paper's eleven trainings, and the chip-days that they take between these shares of the peak.

    Counted, a backward pass as two forward ones; the autoencoder, the text tower, finetuning and sampling are not in it.
    Raises: ValueError for shares outside 0 to 1 or upside down.
    """
    if not 0 < share[0] <= share[1] <= 1:
        raise ValueError(f"share = {list(share)}: expected two numbers between 0 and 1, the smaller first.")
    flops = sum(cost.PASSES * cost.unet_gflops(c, SIDE, TOKENS, CONTEXT) * 1e9 for c in SIZES.values()) * STEPS * BATCH
    most, least = (flops / (part * sheet_of(kind).tflops * 1e12) / 86_400 for part in share)
    return flops, (least, most)
