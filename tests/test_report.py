"""What trainings and benchmarks leave as rows, and the tables that the page about speed makes of them."""

from __future__ import annotations

import pandas as pd
import pytest

from ldm import profiles
from ldm.figures import growth, speed
from ldm.paths import ROOT
from ldm.study import conditions, training_rows
from ldm.study.results import Store
from ldm.study.training_rows import Training
from ldm.tasks import pairs
from ldm.training import chips

SMOKE = profiles.get("smoke")


def test_a_training_leaves_rows_of_its_laps_but_for_the_first():
    training = Training.here(SMOKE, 8, SMOKE.train, None)
    laps = [{"images_a_second": rate, "loss": 1 / rate} for rate in (1.0, 20.0, 30.0, 40.0)]
    rows = {row.metric: row for row in training_rows.rows(training, SMOKE, laps)}
    assert set(rows) == {"images_a_second", "loss"}, "what is not known has no row"
    assert rows["loss"].value == 1 / 40
    speed = rows["images_a_second"]
    assert (speed.value, speed.n) == (30, 3) and 20 < speed.lo < speed.hi < 40
    assert speed.protocol == f"1 x 64 images a step; float32; devices: 1, sharing a state: 1; {chips.machine()}"
    assert training_rows.rows(training, SMOKE, laps[:1]) == []


def test_trainings_of_all_tasks_leave_rows_and_a_line(tmp_path):
    lap = {"step_seconds": 8.0, "images_a_second": 8.0, "input_share": 0.01, "loss": 1.0}
    for task, side in (("superres", pairs.latent_side(SMOKE)), ("codi", 0)):
        training = Training.here(SMOKE, 8, SMOKE.train, None, task=task, side=side, data="here" if side else "")
        training_rows.write(training, SMOKE, [{"loss": 2.0}, lap], tmp_path)
        training_rows.write(training, SMOKE, [{"loss": 2.0}], tmp_path)  # nothing is known of one lap
    rows = Store(tmp_path).rows()
    gflops = rows[rows["metric"] == "loss"].set_index("task")["gflops"]
    assert gflops["superres"] > 3 * gflops["codi"], "latents of twice the side"
    table = speed.trainings(rows)
    assert list(table.columns) == [
        "profile",
        "task",
        "c",
        "images",
        "how",
        "laps",
        "seconds a step",
        "images/s",
        "getting batches",
        "loss",
    ]
    assert table[["task", "how", "loss"]].to_numpy().tolist() == [["codi", "", "1"], ["superres", "from here", "1"]]
    assert speed.trainings(rows[:0]).empty
    for key in (
        "0 a later one",
        "~ a later one",
    ):  # a run's key hashes the machine's name: it says nothing of what came first
        again = rows.assign(key=key + rows["key"], value=2.0, created="2999-01-01T00:00:00Z")
        assert list(speed.trainings(pd.concat([again, rows]))["loss"]) == ["1", "2"] * 2, "runs do not mix"


def test_of_waiting_and_of_devices_the_machine_measured_last_counts():
    def row(task: str, said: str, metric: str, value: float, machine: str, day: str) -> dict:
        protocol = f"{said}; {machine}"
        return {
            "study": "benchmark",
            "task": task,
            "protocol": protocol,
            "c": 8,
            "train_steps": 20,
            "metric": metric,
            "value": value,
            "lo": value,
            "hi": value,
            "created": day,
        }

    rows = pd.DataFrame(
        [
            row("input", f"{source}; batch 64", metric, value * (10 if machine == "old" else 1), machine, day)
            for machine, day in (("new", "2026-11-26"), ("old", "2026-11-24"))
            for source, value in (("memory", 0.2), ("shards", 0.3))
            for metric in ("share of the time", "seconds a step")
        ]
        + [row("devices", "codi; two devices; float32", "weights apart", 2e-5, "new", "2026-11-26")]
    )
    assert list(speed.waiting(rows)["times memory"]) == ["1.00", "1.50"]
    assert list(speed.waiting(rows)["seconds a step"]) == ["0.2 [0.2, 0.2]", "0.3 [0.3, 0.3]"]
    killed = rows[:1].assign(task="kills", n=20, value=1.0)
    assert "was killed 20 times. It ended the same to the bit" in speed.kills(killed)
    assert "It ended in another state" in speed.kills(killed.assign(value=0.0)) and "not been done" in speed.kills(
        killed[:0]
    )
    visited = pd.concat(
        [rows[:1].assign(task="first page", n=5, metric=f"seconds: {what}") for what in ("first text", "counting")]
    )
    assert "has the first text after 0.2 s [0.2, 0.2]. These are medians of 5 visits" in speed.first_page(visited)
    assert "benchmarks.first_page` measures it" in speed.first_page(rows)
    found = speed.devices(rows[rows["task"] == "devices"])
    assert found.to_dict("records") == [
        {"training": "codi", "on": "two devices", "c": 8, "steps": 20, "weights apart": "2.0e-05"}
    ]
    assert speed.devices(rows[:0]).empty and speed.waiting(rows[:0]).empty
    waits = pd.concat(
        rows[:1].assign(
            task="first",
            n=n,
            metric="seconds to a picture",
            protocol=f"{who}; a picture; {state}; new",
            value=value,
            lo=value,
            hi=value + 1,
        )
        for who, n in (("diffusers", 1), ("ldm", 3))
        for state, value in (("cold", 9.0), ("warm", 2.0))
    )
    assert speed.first_waits(waits).to_dict("index") == {
        ("a picture", "ldm"): {"cold": "9.0 s [9.0, 10.0]", "warm": "2.0 s [2.0, 3.0]"},
        ("a picture", "diffusers"): {"cold": "9.0 s, once", "warm": "2.0 s, once"},
    }
    assert speed.first_waits(rows).empty


def timed(task: str, metric: str, value: float, **columns) -> dict:
    made = {
        "study": "benchmark",
        "profile": "laptop-eps",
        "lo": value,
        "hi": value,
        "n": 3,
        "created": "2026-01-02T00:00:00Z",
    }
    return {**made, "task": task, "metric": metric, "value": value, "contender": None, "machine": None, **columns}


def test_the_newest_machine_of_each_metric_counts_also_where_only_the_protocol_names_it():
    rows = pd.DataFrame(
        [
            timed("input", "seconds a step", 1.0, protocol="memory; batch 64; an old one"),
            timed("first", "seconds", 3.0, protocol="ldm; cold; an old one", created="2026-01-01T00:00:00Z"),
            timed("first", "seconds", 2.0, protocol="ldm; cold; a new one", machine="a new one"),
        ]
    )
    assert conditions.newest(rows)[["task", "machine", "value"]].to_numpy().tolist() == [
        ["input", "an old one", 1.0],
        ["first", "a new one", 2.0],
    ]
    assert conditions.newest(rows[:0]).empty


def test_growth_is_the_power_between_the_largest_amounts():
    rows = pd.DataFrame(
        [
            timed("growth", metric, value, contender="pairs", strength=amount, protocol=f"pairs; {amount}; here")
            for amount in (10.0, 100.0, 1e3, 1e4)
            for metric, value in (("seconds", 1e-6 * amount**2), ("gigabytes at most", 2.0))
        ]
    )
    found = growth.measured(rows)
    assert growth.exponent(found["amount"][::2].tolist(), found["value"][::2].tolist()) == pytest.approx(2)
    line = growth.table(found).iloc[0]
    assert (line["from, to"], line["time of the most"]) == ("10, 10,000", "100 s")
    assert (line["power of time"], line["power of memory"]) == ("2.00", "0.00")
    assert growth.again(rows).empty
    done = growth.again(
        pd.DataFrame([timed("again", "seconds", 3.0, contender="make book", protocol="make book; here")])
    )
    assert done.to_numpy().tolist() == [["make book", "3.0 s [3.0, 3.0]"]]
    assert growth.measured(rows[:0]).empty and growth.table(growth.measured(rows[:0])).empty
    shown = growth.chart(found).to_dict()
    assert shown["facet"]["row"]["field"] == "kind" and len(shown["spec"]["layer"]) == 3


def test_a_rate_of_another_task_is_no_race():
    recorded = Store(ROOT).rows(study="benchmark", only="recorded")
    found = speed.races(recorded)
    assert set(found["race"].str.split(",").str[0]) == {"train", "sample"}
    assert set(found.groupby("race")["who"].nunique()) == {3} and found.notna().all(axis=None)
    assert "degrade" in set(recorded["task"]), "whose unit is the same"
