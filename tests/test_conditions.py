"""Conditions of a row: columns today, read from the sentence of the protocol in rows that are older."""

import pandas as pd
import pytest

from ldm.paths import ROOT
from ldm.study.conditions import CONDITIONS, of_protocol, with_conditions
from ldm.study.results import Store
from ldm.study.rows import Row

PLAN = "libtpu 0.0.24 at EFFORT_MIN; bfloat16; data x fsdp = 64x4; blocks computed twice; 2 parts"
TRAINING = "2 x 32 images a step; float32; from tars; devices: 4, sharing a state: 2; a CPU, 2 cores"


@pytest.mark.parametrize(
    "study, protocol, conditions",
    [
        ("tpu_plan", PLAN, {"dtype": "bfloat16", "micro_batches": 2, "remat": True, "mesh": "64x4"}),
        (
            "training",
            TRAINING,
            dict(machine="a CPU, 2 cores", dtype="float32", micro_batches=2, remat=False, mesh="2x2"),
        ),
        (
            "benchmark",
            "ours; 8x8x4 latents, batch 4; a CPU",
            {"machine": "a CPU", "contender": "ours", "setting": "8x8x4 latents, batch 4"},
        ),
        (
            "benchmark",
            "diffusers, torch.compile; a picture on disk; cold; a CPU",
            {"machine": "a CPU", "contender": "diffusers, torch.compile", "setting": "cold"},
        ),
        (
            "benchmark",
            "codi; two devices; float32; a CPU",
            {"machine": "a CPU", "dtype": "float32", "contender": "codi", "setting": "two devices"},
        ),
        ("benchmark", "torch-fidelity; a CPU", {"machine": "a CPU", "contender": "torch-fidelity"}),
        ("sampling", "efficientnet-lite0; float32", {}),
    ],
)
def test_what_older_rows_say_of_their_conditions(study, protocol, conditions):
    assert of_protocol(study, protocol) == conditions


def test_columns_that_are_given_stand_and_those_that_are_not_are_read_from_the_protocol():
    rows = pd.DataFrame({"study": "tpu_plan", "protocol": PLAN, "micro_batches": [8, None], "remat": [False, None]})
    found = with_conditions(rows)
    assert list(found["micro_batches"]) == [8, 2] and list(found["remat"]) == [False, True]
    assert list(found["mesh"]) == ["64x4"] * 2 and list(found["machine"]) == [None, None]


def test_conditions_are_kept_by_the_store(tmp_path):
    row = Row(study="tpu_plan", profile="tpu", task="v5e:4x4", metric="flops", protocol=PLAN, value=1, lo=1, hi=1, n=1)
    given = Row(
        **{**vars(row), "micro_batches": 4, "remat": True, "mesh": "1x16", "dtype": "bfloat16", "metric": "memory"}
    )
    Store(tmp_path).write("a" * 16, [row, given])
    rows = Store(tmp_path).rows().set_index("metric")
    assert (
        rows.loc["memory", "micro_batches"] == 4
        and rows.loc["memory", "remat"]
        and rows.loc["memory", "mesh"] == "1x16"
    )
    assert pd.isna(rows.loc["flops", "micro_batches"]) and pd.isna(rows.loc["flops", "remat"])


@pytest.mark.parametrize("study", ["tpu_plan", "training", "benchmark"])
def test_every_recorded_row_says_its_conditions(study):
    rows = with_conditions(Store(ROOT).rows(only="recorded", study=study))
    named = {
        "tpu_plan": CONDITIONS[1:5],
        "training": CONDITIONS[:5],
        "benchmark": ("machine", "contender"),
    }[study]
    assert len(rows) and rows[list(named)].notna().all(axis=None)
