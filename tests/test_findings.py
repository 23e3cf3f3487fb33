"""The summary of verdicts: every finding once, its turns apart, the most frequent answer first."""

from __future__ import annotations

import pandas as pd
import pytest

from ldm.figures.findings import answer, facts, page, summary
from ldm.metrics import Estimate
from ldm.paths import ROOT
from ldm.profiles import OPEN_EPS
from ldm.statistics.refusal import NotAsked
from ldm.statistics.verdicts import Verdict
from ldm.study import findings
from ldm.study.findings import COUNTED, FINDINGS, RESTORED, evidence
from ldm.study.results import Store


def verdicts(name: str, *answers: str, turn: str = "") -> list[Verdict]:
    common = dict(finding=name, metric="m", effect=Estimate(0, -1, 1, 9), meaning="x", asked="y", turn=turn)
    return [Verdict(answer=answer, **common) for answer in answers]


def test_the_turns_of_a_finding_are_counted_apart_and_what_has_no_rows_is_said():
    answers = {
        "F1": verdicts("F1", *["holds"] * 4),
        "F3": verdicts("F3", *["holds"] * 3, "fails", turn="from the fewest steps of the largest: ")
        + verdicts("F3", *["undecided"] * 3, "fails", turn="from four of its steps: "),
    }
    lines = {line.split("|")[1].strip(): line.split("|")[3].strip() for line in summary(answers).splitlines()}
    assert set(FINDINGS) <= set(lines)
    assert lines["F1"] == "**holds** by all 4 metrics"
    assert lines["F3"].split("<br>") == [
        "from the fewest steps of the largest: **holds** by 3 of 4 metrics, fails by 1",
        "from four of its steps: **undecided** by 3 of 4 metrics, fails by 1",
    ]
    assert lines["F6"] == "not asked yet"
    assert facts(answers) == "There are 12 answers here to 3 questions."


def test_an_answer_says_which_metrics_give_it():
    common = dict(finding="F1", effect=Estimate(0, -1, 1, 9), meaning="x", asked="y")
    found = [
        Verdict(metric=metric, answer=answer, **common)
        for metric, answer in (("kid_effnet", "holds"), ("alignment", "undecided"), ("fd_scene", "holds"))
    ]
    assert answer(found) == "F1 **holds** by KID-EfficientNet and FD-scene; it **is undecided** by scene alignment."
    assert answer([]) == "These rows do not answer it."


def test_the_evidence_is_each_row_once_of_every_study_that_is_asked():
    rows = evidence(Store(ROOT), OPEN_EPS)
    assert not rows.duplicated(["key", "metric"]).any()
    metrics = rows.groupby("study")["metric"].agg(set).to_dict()
    assert metrics == {"superres": set(RESTORED)} | dict.fromkeys(
        ("pretraining", "sampling", "distillation"), set(COUNTED)
    )
    assert rows.groupby("study")["seed"].agg(set).to_dict() == dict.fromkeys(metrics, {0}) | dict.fromkeys(
        ("pretraining", "sampling"), {0, 1, 2}
    )
    assert "average" not in set(rows["task"])


def test_the_page_of_verdicts_has_a_part_for_each_finding_and_a_row_for_each_metric():
    common = dict(
        effect=Estimate(0.5, 0.25, 0.75, 9),
        meaning="gain:",
        asked="two sizes",
        turn="from the fewest steps of the largest: ",
    )
    found = [Verdict(finding="F3", answer="holds", metric=m, **common) for m in ("kid_effnet", "alignment")]
    parts = page({"F3": found}).split("\n\n")
    assert [part for part in parts if part.startswith("### ")] == [f"### {name}" for name in FINDINGS]
    assert "**From the fewest steps of the largest.** *Effect:* gain. *Asked of:* two sizes." in parts
    table = next(part for part in parts if part.startswith("| metric"))
    assert "KID-EfficientNet" in table and table.count("**holds**") == 2 and "0.5 [0.25, 0.75]" in table
    assert parts.count("Not asked yet.") == len(FINDINGS) - 1


def test_a_page_stops_at_rows_that_may_not_be_compared_and_says_what_rows_cannot_answer(tmp_path):
    store, rows = Store(tmp_path), pd.DataFrame({"key": ["a"], "metric": ["kid_effnet"]})

    def refuses(error):
        def ask(rows, metric, influences):
            raise error

        return ask

    found, why = findings.asked(refuses(NotAsked("run more sizes.")), rows, store, ["kid_effnet"])
    assert found == [] and why == "Not asked of these rows: run more sizes."
    with pytest.raises(ValueError, match="shapes do not fit"):
        findings.asked(refuses(ValueError("shapes do not fit")), rows, store, ["kid_effnet"])
