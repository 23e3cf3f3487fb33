"""How fast: rows of `make bench` as a table and a chart, ours beside the same network in torch."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ldm.figures.charts import ABOVE, INK
from ldm.profile import Profile
from ldm.study.conditions import latest
from ldm.study.results import Store
from ldm.tasks import models

OURS, RIVAL = "ldm", "diffusers"
RACES = ["train", "sample"]  # tasks of rows in which ours and others take turns
RUNTIME = 2.9  # MB that the playground's runtime takes


def races(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a contender in each race, ours first; `value`, `lo`, `hi` in images a second over the rounds.

    `race`: what was timed. Of several machines in the rows, the one measured last counts. `relative`,
    `relative_lo`, `relative_hi`: as multiples of diffusers' middle round. `share`: floating-point operations a
    second of the network's passes, over those of a large matrix product on the same machine. Raises: ValueError
    where there are no benchmark rows.
    """
    timed = rows[(rows["metric"] == "images per second") & rows["task"].isin(RACES)].copy()
    if timed.empty:
        raise ValueError("There are no rows of a benchmark; `make bench` measures this machine.")
    timed = latest(timed).rename(columns={"contender": "who"})
    network = timed["size"].fillna("c = " + timed["c"].astype(str))  # older rows, all of UNets, do not name it
    timed["race"] = timed["task"] + ", " + network + ", " + timed["setting"]
    middle = timed[timed["who"] == RIVAL].set_index("key")["value"]
    rate = rows[rows["metric"] == "matmul gflops"].set_index("key")["value"]
    for column, relative in (("value", "relative"), ("lo", "relative_lo"), ("hi", "relative_hi")):
        timed[relative] = timed[column] / timed["key"].map(middle)
    timed["share"] = timed["value"] * timed["nfe"].astype(float) * timed["gflops"] / timed["key"].map(rate)
    columns = ["race", "who", "value", "lo", "hi", "n", "relative", "relative_lo", "relative_hi", "share", "machine"]
    order = ["task", "c", "race", "who"]
    return timed.sort_values(order, key=lambda x: x.replace(OURS, ""))[columns].reset_index(drop=True)


def seconds_of(store: Store, profile: Profile) -> dict[tuple[str, int], tuple[float, float]]:
    """Return `seconds_a_picture` of a profile."""
    return seconds_a_picture(store.rows(study="benchmark", profile=profile.name))


def seconds_a_picture(rows: pd.DataFrame) -> dict[tuple[str, int], tuple[float, float]]:
    """Return (profile, c) -> seconds of one network evaluation and of all else, a picture.

    They are of the machine measured last; the dict is empty where there is none.
    """
    timed = latest(rows[rows["metric"].isin(["seconds an evaluation", "seconds besides"])])
    if timed.empty:
        return {}
    found = timed.pivot_table(index=["profile", "c"], columns="metric", values="value")
    return {
        (profile, int(c)): (row["seconds an evaluation"], row["seconds besides"])
        for (profile, c), row in found.iterrows()
    }


def passes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how long one pass of each network takes a picture, and all else, in milliseconds, to print.

    Of the profiles and the machine that were timed (`seconds_a_picture`); no rows, no lines.
    """
    lines = [
        {"of the profile": name, "c": c, "a pass, ms": 1000 * each, "all else, ms": 1000 * besides}
        for (name, c), (each, besides) in seconds_a_picture(rows).items()
    ]
    return pd.DataFrame(lines, columns=["of the profile", "c", "a pass, ms", "all else, ms"])


def megabytes_in_a_browser(profile: Profile) -> float:
    """Return about how much a browser loads to draw with all sizes that ship: half-precision weights, and the runtime.

    0 where no size ships. (`ldm.interop.browser` writes the files; the autoencoder's decoder is half of it.)
    """
    paths = [models.model_path(profile, c, profile.length) for c in profile.family]
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    if not sizes:
        return 0.0
    codec, text = models.frozen_files(profile)
    return (sum(sizes) + codec.stat().st_size / 2 + text.stat().st_size) / 1e6 + RUNTIME


def speed_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return `races`, to print.

    Images a second, how many times diffusers' that is, and the share of the matrix rate.
    """
    return pd.DataFrame(
        {
            "race": found["race"],
            "who": found["who"],
            "images/s": found["value"].map("{:.2f}".format),
            "from, to": [f"{lo:.2f}, {hi:.2f}" for lo, hi in zip(found["lo"], found["hi"], strict=True)],
            "times diffusers": found["relative"].map("{:.2f}".format),
            "of the matrix rate": found["share"].map("{:.0%}".format),
        }
    ).set_index(["race", "who"])


def waiting(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how long a training step's batch takes, by where that comes from, to print; of the machine measured last.

    Getting batches: the host's share of the time; it works ahead of the device, which waits that long at most. Shares
    and seconds a step are the middle of the laps, and the least and most; times memory: the middle step beside that of
    batches from memory. No rows, no lines.
    """
    timed = latest(rows[rows["task"] == "input"])
    if timed.empty:
        return pd.DataFrame(columns=["c", "batches from", "getting batches", "seconds a step", "times memory"])
    timed = timed.assign(share=timed["metric"].str.startswith("share"))
    memory = timed[(timed["contender"] == "memory") & ~timed["share"]].set_index("c")["value"]
    lines = [
        {
            "c": c,
            "batches from": source,
            "getting batches": "{value:.2%} [{lo:.2%}, {hi:.2%}]".format(**part[part["share"]].iloc[0]),
            "seconds a step": "{value:.3g} [{lo:.3g}, {hi:.3g}]".format(**(step := part[~part["share"]].iloc[0])),
            "times memory": f"{step['value'] / memory[c]:.2f}",
        }
        for (c, source), part in timed.groupby(["c", "contender"], sort=False)
    ]
    return pd.DataFrame(lines)


def trainings(rows: pd.DataFrame) -> pd.DataFrame:
    """Say how trainings went (`ldm.study.training_rows`), a line each, to print.

    A number is the middle of the laps, with between what 95 % lie.

    Those of one task and width stand in the order in which they ended. What a machine does not say (a CPU its memory
    and its peak) has no column, nor has what all have in common; the loss is the last one.
    """
    lines = []
    shared = set.intersection(*map(set, rows["protocol"].str.split("; "))) if len(rows) else set()
    for _, part in rows.sort_values(["task", "c", "created"], kind="stable").groupby("key", sort=False):
        of = {
            metric: f"{value:.3g} [{lo:.3g}, {hi:.3g}]"
            for metric, value, lo, hi in part[["metric", "value", "lo", "hi"]].to_numpy()
        }
        first = part.iloc[0]
        lines.append(
            {
                "profile": first["profile"],
                "task": first["task"],
                "c": first["c"],
                "images": int(first["images_seen"]),
                "how": "; ".join(said for said in first["protocol"].split("; ") if said not in shared),
                "laps": int(part["n"].max()),
                "seconds a step": of["step_seconds"],
                "images/s": of["images_a_second"],
                "TFLOP/s": of.get("tflops", ""),
                "of the peak": of.get("peak_share", ""),
                "memory, GB": of.get("memory_gb", ""),
                "getting batches": of["input_share"],
                "loss": of["loss"].split()[0],
            }
        )
    table = pd.DataFrame(lines)
    return table.loc[:, (table != "").any()] if lines else table


def first_waits(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the seconds until a new process has what one waits for (`benchmarks.first`), to print.

    Cold: nothing was compiled before; warm: what was compiled lies on the disk. The middle of the rounds, and the least
    and most; of the machine measured last. No rows, no lines.
    """
    timed = latest(rows[rows["task"] == "first"])
    if timed.empty:
        return pd.DataFrame(columns=["until", "who", "cold", "warm"])
    timed = timed.rename(columns={"contender": "who", "setting": "state"})
    timed["until"] = timed["metric"].str.removeprefix("seconds to ")
    rounds = lambda row: " [{lo:.1f}, {hi:.1f}]".format(**row) if row["n"] > 1 else ", once"
    timed["seconds"] = [f"{row['value']:.1f} s{rounds(row)}" for row in timed.to_dict("records")]
    table = timed.pivot_table(index=["until", "who"], columns="state", values="seconds", aggfunc="first", sort=False)
    return table.sort_index(key=lambda x: x.str.replace(OURS, "")).rename_axis(columns=None)


def scoring(rows: pd.DataFrame) -> str:
    """Return how fast pictures are scored, and in how much memory (`benchmarks.scoring`), in sentences."""
    timed = latest(rows[rows["task"].isin(["score", "score memory"])])
    if timed.empty:
        return "`python -m benchmarks.scoring` measures it."
    timed = timed.rename(columns={"contender": "who"})
    rates = timed[timed["task"] == "score"].set_index("who")
    clauses = [
        f"{'`python -m ldm score`' if who == OURS else who} takes {row['value']:.1f} [{row['lo']:.1f}, {row['hi']:.1f}]"
        for who, row in rates.iterrows()
    ]
    said = " and ".join(clauses) + f" pictures a second with the same Inception network, on {rates['machine'].iloc[0]}."
    if len(memory := timed[timed["task"] == "score memory"].sort_values("value")):
        each = ", ".join(f"{row.value:.2f} GB for {row.who}" for row in memory.itertuples())
        said += f" With the network that ships, its memory is at most {each}."
    return said


def first_page(rows: pd.DataFrame) -> str:
    """Return how soon the book's first page is there (`benchmarks.first_page`), in a sentence."""
    timed = latest(rows[rows["task"] == "first page"]).sort_values("value")
    if timed.empty:
        return "`python -m benchmarks.first_page` measures it."
    said = {
        row["metric"].removeprefix("seconds: "): "{value:.1f} s [{lo:.1f}, {hi:.1f}]".format(**row)
        for _, row in timed.iterrows()
    }
    where, there = timed[["contender", "machine"]].iloc[0]
    return (
        "A browser that opens the first page of this book for the first time has the "
        + ", the ".join(f"{what} after {seconds}" for what, seconds in said.items() if "counting" not in what)
        + f". These are medians of {timed['n'].iloc[0]} visits, with the least and the most in brackets ({where};"
        f" {there})."
    )


def kills(rows: pd.DataFrame) -> str:
    """Return how a training ended that was killed again and again (`benchmarks.kills`), in a sentence."""
    if rows.empty:
        return "`python -m benchmarks.kills` kills a training, which has not been done."
    row = latest(rows).iloc[0]
    end = "the same to the bit" if row["value"] else "in another state"
    return (
        f"A small training of {row['train_steps']} steps was killed {row['n']} times. It ended {end} as one that nobody"
        " disturbed."
    )


def devices(rows: pd.DataFrame) -> pd.DataFrame:
    """Say how far weights trained on two devices end from those of one (`benchmarks.devices`), to print.

    The rows are of the machine measured last.
    """
    rows = latest(rows)
    return pd.DataFrame(
        {
            "training": rows["contender"],
            "on": rows["setting"],
            "c": rows["c"],
            "steps": rows["train_steps"],
            "weights apart": rows["value"].map("{:.1e}".format),
        }
    )


def chart(found: pd.DataFrame) -> alt.FacetChart:
    """Plot images a second as a multiple of diffusers', slowest to fastest round as a rule, one panel a race."""
    # A phone is narrow: in the panel's name what tells it from the others, and torch's ways by their last word.
    panel = found["race"].str.replace(r", batch (?!1$)\d+", "", regex=True)
    found = found.assign(panel=panel, way=found["who"].str.split(", ").str[-1])
    base = alt.Chart(found).encode(
        y=alt.Y("way:N", title=None, sort=None),
        color=alt.condition(f"datum.who == '{OURS}'", alt.value("#3b7dd8"), alt.value(INK)),
        tooltip=[
            alt.Tooltip("race:N"),
            alt.Tooltip("who:N"),
            alt.Tooltip("value:Q", title="images a second", format=".3~g"),
            alt.Tooltip("lo:Q", title="slowest round", format=".3~g"),
            alt.Tooltip("hi:Q", title="fastest", format=".3~g"),
            alt.Tooltip("n:Q", title="rounds"),
            alt.Tooltip("share:Q", title="of the matrix rate", format=".0%"),
        ],
    )
    x = alt.X("relative:Q", title="images a second, diffusers = 1", scale=alt.Scale(zero=True))
    points = base.mark_point(size=90).encode(x=x)
    rounds = base.mark_rule().encode(x="relative_lo:Q", x2="relative_hi:Q")
    level = alt.Chart(found).mark_rule(strokeDash=[4, 4], color=INK).encode(x=alt.datum(1))
    return (
        alt.layer(level, rounds, points)
        .properties(width=420, height={"step": 26})
        .facet(row=alt.Row("panel:N", title=None, sort=None, header=ABOVE))
        .properties(description="images a second of training and sampling, ours beside diffusers in torch")
    )
