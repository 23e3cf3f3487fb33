"""DreamBooth's questions to rows: means over subjects, Fig. 6, and who learns a subject without losing its class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ldm.metrics import Estimate
from ldm.statistics.bootstrap import Influences, lower_is_better, replicates
from ldm.statistics.ranks import rank_correlation
from ldm.statistics.refusal import NotAsked
from ldm.statistics.verdicts import Verdict, answered

TRAINED = ["task", "c", "train_steps", "metric"]  # columns: what subjects are averaged within
RECOGNISED, LEAKED = 0.5, 0.1  # shares of pictures: at least so many of the subject, at most so many of its class


def over_subjects(
    rows: pd.DataFrame, subjects: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, dict[str, np.ndarray]]]:
    """Return one row a setting and metric: the mean over subjects, with Student's interval, n counting subjects.

    subjects: a cell's key -> its subject; several trainings of a subject count as their mean. Also metric -> the rows'
    keys -> each subject's influence (n,), in the order of their names, widened as Student's interval is, so that
    replicates (`ldm.statistics.bootstrap`) are as wide. A single subject, such as a folder, keeps the interval and the
    n of its pictures, which errs on the narrow side: two of them share a caption.
    """
    found, influences = [], {}
    for setting, part in rows.assign(subject=rows["key"].map(subjects)).groupby(TRAINED, sort=False):
        row, by_subject = part.iloc[0].drop("subject").to_dict(), part.groupby("subject")["value"].mean()
        values, n = by_subject.to_numpy(float), len(by_subject)
        trainings = len(part) // n
        if len(part) != trainings * n or (n == 1 and trainings > 1):
            raise ValueError(
                f"{setting}: {len(part)} rows of {n} subjects; pass as many trainings of each, of one alone one."
            )
        row["key"] = "-".join(map(str, setting[:3]))
        if n > 1:
            mean, spread = Estimate.of_few(values), values - values.mean()
            row |= mean._asdict()
            moved = spread * mean.se * n / np.sqrt(np.square(spread).sum() or 1)  # as wide as Student's interval is
            row["protocol"] = f"{row['protocol'].split(' pictures of ')[0]} pictures of each of {n} subjects"
            row["protocol"] += f", {trainings} trainings each" * (trainings > 1)
            row["counted"] = "subjects"
            influences.setdefault(row["metric"], {})[row["key"]] = moved
        found.append(row)
    table = pd.DataFrame(found)
    return table.astype({name: "Int64" for name in ("c", "params", "train_steps", "steps", "n")}), influences


def fig6(
    pretraining: pd.DataFrame,
    tuned: pd.DataFrame,
    metric: str,
    influences: Influences | None = None,
) -> Verdict:
    """Judge Fig. 6: once a subject is learnt, quality depends on size as it did after pretraining (section 3.2).

    pretraining: one row of `alignment` a size. tuned: one row of `metric` a size, over subjects, whose influences are
    the subjects'. The effect is Kendall's rank correlation of the two over sizes. Holds where its interval lies above
    1/2, fails where it lies below. Raises: NotAsked for fewer than two sizes, or for two rows of one size.
    """
    a, b = (
        lower_is_better(rows, name).sort_values("size") for rows, name in ((pretraining, "alignment"), (tuned, metric))
    )
    sizes = sorted(set(a["size"]) & set(b["size"]))
    a, b = (rows[rows["size"].isin(sizes)] for rows in (a, b))
    if len(sizes) < 2 or not len(a) == len(b) == len(sizes):
        raise NotAsked(
            f"Fig. 6 needs one row of each study at 2 or more sizes; there are {len(a)} and {len(b)} at {len(sizes)}."
        )
    drawn = replicates(a).T[:500], replicates(b, influences, seed=1).T[:500]
    effect = rank_correlation(a["value"].to_numpy(float), b["value"].to_numpy(float), *drawn, int(b["n"].min()))
    return Verdict(
        finding="Fig. 6",
        answer=answered(effect, 0.5),
        metric=metric,
        effect=effect,
        meaning="rank correlation over sizes with alignment as pretrained",
        asked=f"c = {', '.join(map(str, sizes))}",
    )


def learnt_and_kept(recognised: Estimate, leaked: Estimate) -> str:
    """Say whether subjects are learnt and their class is kept: "yes", "no" or "undecided".

    Yes where at least half of the pictures of the subject surely show it, and at most a tenth of those of its class do;
    no where either is surely otherwise. The intervals are over subjects, so "surely" is said of these trainings.
    """
    if recognised.lo >= RECOGNISED and leaked.hi <= LEAKED:
        return "yes"
    return "no" if recognised.hi < RECOGNISED or leaked.lo > LEAKED else "undecided"


def subject_by_subject(rows: pd.DataFrame, subjects: Mapping[str, str], metric: str, one: str, other: str) -> Estimate:
    """Return how much larger `metric` is by variant `one` than by `other`, subject by subject, averaged over sizes.

    After the longest finetuning; Student's interval over subjects. Those that lack a size are left out: sizes differ,
    and their mean would be of others. Raises: NotAsked for fewer than two subjects, ValueError for an unknown variant.
    """
    last = rows[(rows["metric"] == metric) & (rows["train_steps"] == rows["train_steps"].max())]
    values = last.assign(subject=last["key"].map(subjects)).pivot_table(
        index="subject", columns=["task", "c"], values="value"
    )
    known = list(values.columns.get_level_values("task").unique())
    if unknown := [name for name in (one, other) if name not in known]:
        raise ValueError(f"variant {unknown[0]!r}: expected one of {', '.join(map(repr, known))}; finetune it first.")
    both = (values[one] - values[other]).dropna(axis=1, how="all")  # sizes that both were finetuned at
    gaps = both.mean(axis=1, skipna=False).dropna().to_numpy(float)
    if len(gaps) < 2:
        raise NotAsked(f"{len(gaps)} subjects have been learnt with {one!r} and with {other!r}: expected 2 or more.")
    return Estimate.of_few(gaps)
