"""What the store holds of several trainings of a size: whole ones are pooled, others are left out."""

from __future__ import annotations

import pytest

from ldm import profiles
from ldm.statistics.evidence import Evidence
from ldm.study import recorded
from ldm.study.results import Store
from ldm.study.rows import Row

PROFILE = profiles.get("laptop-eps")
STEPS, METRICS = (4, 8), ("fd_scene_decoded", "alignment")


def write(store: Store, c: int, seed: int, *, steps=STEPS, level="some", n=PROFILE.n, metrics=METRICS) -> None:
    for count in steps:
        for guidance in (1.0, 2.0):
            common = dict(
                study="sampling", profile=PROFILE.name, task="pretrain", c=c, size=f"{c}", params=c, seed=seed
            )
            common |= dict(images_seen=PROFILE.length, sampler="ddim", steps=count, guidance=guidance, level=level, n=n)
            common |= dict(gflops=c, nfe=count, cost=c * count, protocol="p", value=1 + seed / 10, lo=0.0, hi=2.0)
            key = f"{c}-{seed}-{count}-{guidance}-{level}-{n}"
            store.write(key, [Row(metric=metric, **common) for metric in metrics])


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path)
    for c in (8, 16):
        for level in ("some", "all"):
            write(made, c, 0, level=level)
    return made


def first(store: Store):
    return store.rows(study="sampling", seed=0, level="some")


def trainings(rows) -> dict[int, list[int]]:
    return {int(c): sorted(map(int, part["seed"].unique())) for c, part in rows.groupby("c")}


def test_a_training_that_is_whole_is_pooled_with_the_first(store):
    write(store, 8, 1, steps=(4, 8, 16))  # a step count more, which the first training lacks
    rows = recorded.with_trainings(store, first(store))
    assert trainings(rows) == {8: [0, 1], 16: [0]} and set(rows["steps"]) == set(STEPS)
    evidence = Evidence.of(rows, METRICS[0])
    pooled = evidence.rows.set_index("size").groupby(level=0)
    assert pooled["value"].first().to_dict() == pytest.approx({8: 1.05, 16: 1.0})
    assert pooled["seeds"].first().to_dict() == {8: 2, 16: 1} and evidence.scatter is not None


@pytest.mark.parametrize(
    "lacks", [dict(steps=(4,)), dict(metrics=METRICS[:1]), dict(n=16), dict(level="all")], ids=lambda lacks: [*lacks][0]
)
def test_a_training_that_lacks_a_setting_is_left_out_and_not_the_setting(store, lacks):
    write(store, 8, 1, **lacks)
    rows = first(store)
    assert recorded.with_trainings(store, rows).equals(rows)


def test_a_metric_of_which_not_every_picture_is_asked_keeps_its_trainings(store):
    for seed in (0, 1):
        for c in (8, 16):
            write(store, c, seed)
    rows = store.rows(study="sampling", level="some")
    part = rows.assign(n=rows["n"].where(rows["metric"] != "alignment", 523))  # captions that leave things out
    for key, of in part.groupby("key"):
        records = of.astype(object).where(of.notna(), None).to_dict("records")
        store.write(
            str(key), [Row(**{k: v for k, v in one.items() if k in Row.__dataclass_fields__}) for one in records]
        )
    asked = first(store)
    assert trainings(recorded.with_trainings(store, asked[asked["metric"] == "alignment"])) == {8: [0, 1], 16: [0, 1]}


def test_each_level_has_the_trainings_that_are_whole_there(store):
    write(store, 8, 1, level="all")
    write(store, 8, 2, level="some", steps=(4,))
    rows = recorded.by_level(store, PROFILE, ["some", "all"])
    assert trainings(rows[rows["level"] == "all"]) == {8: [0, 1], 16: [0]}
    assert trainings(rows[rows["level"] == "some"]) == {8: [0], 16: [0]}


def test_where_nothing_is_recorded_nothing_is_pooled(tmp_path):
    nothing = recorded.by_level(Store(tmp_path), PROFILE, ["some"])
    assert nothing.empty and recorded.with_trainings(Store(tmp_path), nothing).empty


def test_rows_stand_beside_as_many_real_scenes_by_the_same_metric_at_the_same_level(store):
    common = dict(profile=PROFILE.name, study="real", metric=METRICS[0], protocol="p", lo=0.0, hi=2.0)
    for task, level, n, value in (
        ("true", "some", PROFILE.n, 0.3),
        ("autoencoder", "some", PROFILE.n, 0.5),
        ("autoencoder", "some", 16, 0.7),
        ("autoencoder", "all", PROFILE.n, 0.9),
    ):
        store.write(f"{task}-{level}-{n}", [Row(task=task, level=level, n=n, value=value, **common)])
    rows = recorded.beside_real(store, first(store))
    assert len(rows) == len(first(store)) and list(rows["key"]) == list(first(store)["key"])
    assert set(rows[rows["metric"] == METRICS[0]]["real"]) == {0.5}
    assert rows[rows["metric"] == METRICS[1]]["real"].isna().all()
