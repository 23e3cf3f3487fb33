"""DreamBooth: who the subjects are, what is learnt from, what is measured, and a small run of it all."""

from __future__ import annotations

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from PIL import Image
from scipy.spatial.distance import cdist
from scipy.stats import ttest_1samp

from ldm import profiles
from ldm.data.scenes.captions import caption, words
from ldm.figures import dreambooth as charts
from ldm.metrics import Estimate
from ldm.networks import low_rank
from ldm.networks.initial import KeySource
from ldm.networks.structure import split
from ldm.statistics import dreambooth as booth
from ldm.study import dreambooth as dreambooth_study
from ldm.study import likeness
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import dreambooth, subjects
from ldm.tasks.dreambooth_recipe import WAYS
from tests.toy_training import Mixer

SMOKE, OPEN = profiles.get("smoke"), profiles.get("laptop-eps")


def test_subjects_are_called_by_the_rare_token_and_a_noun_that_the_models_know():
    asked = subjects.asked(OPEN)
    assert len(asked) == 8 and asked[:3] == ("teddy bear", "fox", "dinosaur")
    for name in asked:
        who = subjects.subject(OPEN, name)
        assert who.pictures.shape == (subjects.SHOTS, 32, 32, 3)
        assert len({p.tobytes() for p in who.pictures}) == subjects.SHOTS
        assert all(f"sks {who.noun}" in text and name not in text for text in who.captions)
        scenes = subjects.requests(OPEN, who, 8)
        wanted = {subjects.own(scene, who.noun) for scene in scenes}
        assert not wanted & set(who.captions) and {scene.style for scene in scenes} == {OPEN.scenes.styles[0]}
        for text in wanted | {caption(subjects.of_class(scene, who.noun)) for scene in scenes}:
            assert set(text.replace(",", "").split()) <= set(words(OPEN.scenes))
        names, pictures = subjects.lineup(OPEN.scenes, scenes[:2], who.noun)
        assert pictures.shape == (17, 2, 32, 32, 3) and names[-1] == who.noun
        assert len({p.tobytes() for p in pictures}) == 17


@pytest.fixture
def folder(tmp_path):
    def make(texts):
        for i in range(len(texts)):
            Image.new("RGB", (40, 40), (50 * i, 90, 200)).save(tmp_path / f"{i}.png")
        lines = [json.dumps({"file_name": f"{i}.png", "text": text}) for i, text in enumerate(texts)]
        (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
        return str(tmp_path)

    return make


def test_a_folder_is_a_subject_and_a_wrong_one_is_refused_in_one_sentence(folder):
    text = "a sks cactus in the centre, flat style, on a plain blue background"
    who = subjects.subject(OPEN, folder([text] * 3))
    assert (who.noun, who.emoji, len(who.pictures)) == ("cactus", None, 3)
    for texts, says in (
        ([text] * 2, "holds 2 pictures: expected 3 to 30"),
        ([text.replace("sks ", "")] * 3, "does not say 'sks'"),
        ([text, text, text.replace("cactus", "cat")], "calls its subject cactus and cat"),
    ):
        with pytest.raises(ValueError, match=says):
            subjects.subject(OPEN, folder(texts))
    with pytest.raises(ValueError, match="expected a folder with pictures, or one of the emoji"):
        subjects.subject(SMOKE, "nobody")


def test_a_batch_holds_both_losses_and_its_mean_is_half_of_their_weighted_sum():
    data = [{"latents": np.full((k, 2, 2, 4), value, np.float32)} for k, value in ((3, 1), (5, 7))]
    batch = dreambooth.batches(*data, 4, 0.5)(3)
    assert batch["latents"][:, 0, 0, 0].tolist() == [1] * 4 + [7] * 4
    assert (batch["weight"] * batch["latents"][:, 0, 0, 0]).mean() == pytest.approx((1 + 0.5 * 7) / 2)


@pytest.mark.parametrize("field", ["learning_rate", "weight", "word_rate", "low_rank_rate"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -1.0])
def test_a_recipe_of_numbers_that_are_not_finite_is_refused(field, number):
    with pytest.raises(ValueError, match=f"{field} = {number}: expected a finite number"):
        dreambooth.Recipe(**{field: number})


@pytest.mark.parametrize("field", ["learning_rate", "word_rate", "rank", "pictures", "drawn"])
def test_a_recipe_of_nothing_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} = 0: expected"):
        dreambooth.Recipe(**{field: 0})


def model():
    """A denoiser with attention and a text tower, both small, as names and arrays."""
    unet = {
        "mid.attn1.to_q.weight": jnp.eye(6),
        "mid.attn2.to_k.weight": jnp.ones((4, 6)),
        "mid.attn1.to_out.0.weight": jnp.ones((6, 6)),
        "mid.attn1.to_out.0.bias": jnp.zeros(6),
        "conv.weight": jnp.ones((3, 3, 6, 6)),
    }
    return unet, {"token_embedding": jnp.arange(12.0).reshape(3, 4), "layers.0.weight": jnp.eye(4)}


@pytest.mark.parametrize("name", WAYS)
def test_before_it_learns_a_model_is_what_it_was_and_nothing_else_than_said_can_learn(name):
    unet, text = model()
    taught = dreambooth.Taught(way=WAYS[name], recipe=dreambooth.Recipe(rank=2), row=1)
    learnt, frozen = taught.begin(unet, text)
    now, words = taught.whole(learnt, frozen)
    assert now.keys() == unet.keys() and all((now[n] == unet[n]).all() for n in unet)
    assert all((words[n] == text[n]).all() for n in words) and bool(words) == (taught.way.text != "nothing")
    moved, said = taught.whole({n: p + 1.0 for n, p in learnt.items()}, frozen)
    changed = {n for n in unet if (moved[n] != unet[n]).any()}
    matrices = {n for n in unet if "weight" in n and "attn" in n}
    assert changed == {"all": set(unet), "low rank": matrices, "nothing": set()}[taught.way.unet]
    rows = {i for i in range(3) if words and (said["token_embedding"][i] != text["token_embedding"][i]).any()}
    assert rows == {"nothing": set(), "word": {1}, "tower": {0, 1, 2}}[taught.way.text]
    if words:
        assert (said["layers.0.weight"] != text["layers.0.weight"]).any() == (taught.way.text == "tower")


def test_the_word_learns_at_its_own_rate_whatever_that_of_the_rest():
    """All that learns is given one rate, so a step of it has to move the word by the word's own."""
    unet, text = model()
    recipe = dreambooth.Recipe(word_rate=0.5, learning_rate=0.01, low_rank_rate=0.1)
    for way in (way for way in WAYS.values() if way.text == "word"):
        taught = dreambooth.Taught(way=way, recipe=recipe, row=1)
        learnt, frozen = taught.begin(unet, text)
        step = {n: p + recipe.rate(way) for n, p in learnt.items()}
        moved = taught.whole(step, frozen)[1]["token_embedding"] - text["token_embedding"]
        assert moved == pytest.approx(0.5 * np.eye(3)[1][:, None] * np.ones(4))


def test_the_gradient_of_the_word_does_not_follow_its_rate():
    """The loop limits the norm of all gradients together: a word's that is scaled would take the others' share."""
    unet, text = model()
    square = lambda learnt, taught, frozen: jnp.square(taught.whole(learnt, frozen)[1]["token_embedding"]).sum()
    found = []
    for rate in (0.01, 1.0):
        taught = dreambooth.Taught(way=WAYS["word"], recipe=dreambooth.Recipe(word_rate=rate), row=1)
        learnt, frozen = taught.begin(unet, text)
        found.append(jax.grad(square)(learnt, taught, frozen)[dreambooth.WORD])
    assert found[0] == pytest.approx(found[1]) and found[0] == pytest.approx(2 * text["token_embedding"][1])


def test_a_subject_is_learnt_by_what_may_learn_and_by_nothing_else():
    """A denoiser that sums what its attention's matrix makes of the words, and a tower that looks words up."""

    class Lookup(nnx.Module):
        def __init__(self):
            self.token_embedding = nnx.Param(jnp.zeros((3, 4)))

        def __call__(self, ids):
            return self.token_embedding[...][ids]

    unet = {"a.to_k.weight": keys_normal((4, 6)), "b.weight": jnp.ones(6)}
    text = {"token_embedding": keys_normal((3, 4))}
    fitted = lambda params, batch, key: (
        jnp.square(batch["context"] @ params["a.to_k.weight"] @ params["b.weight"]).sum(),
        {},
    )
    taught = dreambooth.Taught(way=WAYS["low rank and word"], recipe=dreambooth.Recipe(rank=2), row=1)
    learnt, frozen = taught.begin(unet, text)
    loss = dreambooth.subject_loss(fitted, split(Lookup())[0], taught)
    batch = {"ids": jnp.array([[1, 2]])}
    value, grads = jax.value_and_grad(lambda p: loss(p, batch, jax.random.key(0), frozen, p)[0])(learnt)
    assert value == pytest.approx(fitted(unet, {"context": text["token_embedding"][batch["ids"]]}, None)[0])
    assert set(grads) == {"a.to_k.weight.down", "a.to_k.weight.up", dreambooth.WORD}
    moved = {name: bool(jnp.abs(g).max() > 0) for name, g in grads.items()}
    assert moved == {"a.to_k.weight.down": False, "a.to_k.weight.up": True, dreambooth.WORD: True}


def test_a_number_that_a_way_does_not_use_does_not_rename_what_it_learnt():
    always = {"pictures", "weight", "drawn"}
    used = {name: set(dreambooth.Recipe().numbers(way)) - always for name, way in WAYS.items()}
    full = {"learning_rate"}
    assert used == {
        "no prior": full,
        "prior": full,
        "prior and text": full,
        "prior and word": full | {"word_rate"},
        "low rank and word": {"low_rank_rate", "rank", "word_rate"},
        "word": {"word_rate"},
    }


def test_batches_of_another_seed_hold_other_pictures():
    data = [{"latents": np.arange(20.0, dtype=np.float32).reshape(20, 1, 1, 1)}] * 2
    one, other = (dreambooth.batches(*data, 4, 1.0, seed)(0)["latents"] for seed in (0, 1))
    assert (one != other).any()


def test_low_rank_updates_are_of_their_rank_and_of_attention_alone():
    keys = KeySource(jax.random.key(1))
    unet = {"a.to_v.weight": keys_normal((12, 9)), "b.weight": keys_normal((12, 9))}
    learnt = low_rank.updates(unet, 3, keys)
    assert {n: p.shape for n, p in learnt.items()} == {"a.to_v.weight.down": (12, 3), "a.to_v.weight.up": (3, 9)}
    moved = low_rank.updated(unet, {n: keys_normal(p.shape) for n, p in learnt.items()})
    assert np.linalg.matrix_rank(moved["a.to_v.weight"] - unet["a.to_v.weight"], tol=1e-4) == 3
    assert moved["b.weight"] is unet["b.weight"]
    with pytest.raises(ValueError, match="rank = 0: expected 1 or more"):
        low_rank.updates(unet, 0, keys)
    with pytest.raises(ValueError, match="no attention that could be adapted"):
        low_rank.updates({"b.weight": unet["b.weight"]}, 3, keys)


def keys_normal(shape):
    return jax.random.normal(jax.random.key(sum(shape)), shape)


def test_similarities_are_those_of_scipy_and_the_subject_is_recognised_among_all():
    rng = np.random.default_rng(0)
    x, things = rng.normal(size=(6, 5)), rng.normal(size=(4, 6, 5))
    own = likeness.similarity({"scene": x}, {"scene": lambda pictures: pictures}, things[0])
    assert own["similar_scene"] == pytest.approx(1 - cdist(x, things[0], "cosine").mean(1))
    found = likeness.recognition({"scene": things[2] + 0.01 * x}, {"scene": things}, 2)
    assert found["recognised_scene"].all() and found["true_scene"].min() > 0.9
    others = [1 - np.diag(cdist(things[2] + 0.01 * x, things[i], "cosine")) for i in (0, 1)]
    assert found["wrong_scene"] == pytest.approx(np.mean(others, 0))
    assert not likeness.recognition({"scene": things[1]}, {"scene": things}, 2)["recognised_scene"].any()


def made_up(gap):
    """Rows of eight subjects at two sizes; the variants differ by `gap`."""
    rng, rows, names = np.random.default_rng(0), [], {}
    for subject in "abcdefgh":
        luck = rng.normal()
        for task in ("prior", "no prior"):
            for c in (8, 16):
                key = f"{subject}{task}{c}"
                names[key] = subject
                value = luck + gap * (task == "prior") + 0.05 * rng.normal()
                rows.append(
                    {
                        "key": key,
                        "task": task,
                        "c": c,
                        "params": c**2,
                        "train_steps": 9,
                        "steps": 4,
                        "metric": "class_drift",
                        "protocol": f"x; 5 pictures of {subject}",
                        "value": value,
                        "lo": value,
                        "hi": value,
                        "n": 32,
                    }
                )
    return pd.DataFrame(rows), names


@pytest.mark.parametrize("gap, sign", [(-0.3, -1), (0.3, 1)])
def test_variants_are_compared_subject_by_subject(gap, sign):
    found = booth.subject_by_subject(*made_up(gap), "class_drift", "prior", "no prior")
    assert found.lo * sign > 0 and found.hi * sign > 0 and found.n == 8
    rows, names = made_up(gap)
    one = rows[rows["key"] == rows["key"].iloc[0]].index  # a subject lacks a size
    assert booth.subject_by_subject(rows.drop(one), names, "class_drift", "prior", "no prior").n == 7
    with pytest.raises(ValueError, match="variant 'nope': expected one of"):
        booth.subject_by_subject(rows, names, "class_drift", "nope", "no prior")
    table, influences = booth.over_subjects(rows, names)
    assert len(table) == 4 and set(table["n"]) == {8} and set(influences) == {"class_drift"}
    first = rows[(rows["task"] == "prior") & (rows["c"] == 8)]["value"]
    interval = ttest_1samp(first, 0).confidence_interval()
    assert table[["lo", "hi"]].iloc[0].tolist() == pytest.approx(list(interval))


@pytest.mark.parametrize(
    "seen, leak, answer",
    [
        ((0.7, 0.6, 0.8), (0.05, 0.0, 0.09), "yes"),
        ((0.7, 0.4, 1.0), (0.05, 0.0, 0.09), "undecided"),
        ((0.7, 0.6, 0.8), (0.05, 0.0, 0.2), "undecided"),
        ((0.3, 0.2, 0.4), (0.05, 0.0, 0.09), "no"),
        ((0.9, 0.8, 1.0), (0.5, 0.4, 0.6), "no"),
    ],
)
def test_a_subject_is_learnt_and_its_class_kept_where_both_are_sure(seen, leak, answer):
    assert booth.learnt_and_kept(Estimate(*seen, 8), Estimate(*leak, 8)) == answer


def learnt(shares):
    """Rows of eight subjects, three trainings each: (way, c) -> (share recognised, share of the class that leaks)."""
    rng, rows, names = np.random.default_rng(0), [], {}
    for (task, c), share in shares.items():
        for subject in "abcdefgh":
            for seed in range(3):
                key = f"{subject}{task}{c}{seed}"
                names[key] = subject
                common = dict(key=key, task=task, c=c, seed=seed, params=c**2, train_steps=9, steps=4, n=32)
                common |= dict(protocol=f"x; 5 pictures of {subject}")
                for metric, value in zip(("recognised_scene", "class_leak"), share, strict=True):
                    value += 0.02 * rng.normal()
                    row = common | dict(metric=metric, value=value, lo=value - 0.1, hi=value + 0.1)
                    rows += [row, row | dict(train_steps=5, value=0.2, key=f"{key}5")]
                    names[f"{key}5"] = subject
    return pd.DataFrame(rows), names


def test_who_learns_is_asked_of_each_way_and_size_and_trainings_of_a_subject_count_as_their_mean():
    shares = {("prior", 8): (0.1, 0.05), ("no prior", 8): (0.8, 0.8), ("prior and word", 16): (0.7, 0.03)}
    table, influences = booth.over_subjects(*learnt(shares))
    assert set(table["n"]) == {8} and len(influences["class_leak"]["prior-8-9"]) == 8
    assert table["protocol"].str.endswith("8 subjects, 3 trainings each").all()
    found = charts.who_learns(table)
    assert found["learnt with"].tolist() == ["no prior", "prior", "prior and word"]
    assert found["learnt and kept"].tolist() == ["no", "no", "yes"], "of the longest finetuning"
    rows, names = learnt(shares)
    with pytest.raises(ValueError, match="pass as many trainings of each"):
        booth.over_subjects(rows[rows["key"] != "aprior80"], names)
    drawn = charts.frontier(table).to_dict()
    assert drawn["facet"]["sort"] == ["c = 8", "c = 16"] and len(drawn["spec"]["layer"]) == 5


class Small(dreambooth_study.DreamBoothEvaluator):
    """With a small network in the UNet's place, which compiles in a second; the smoke study has the UNet."""

    def load(self, model):
        structure, params = split(Mixer(context=self.profile.context, keys=KeySource(jax.random.key(0))))
        return replace(super().load(model), structure=structure, params=params)


def test_some_ways_are_asked_of_some_sizes_alone():
    how = dict(steps=4, guidance=2.0, n=16)
    cells = dreambooth_study.study_grid(OPEN, [8, 16, 32], ["fox"], ["prior"], ["word"], [4], **how)
    asked = {(cell.variant, cell.c) for cell in cells}
    truth = {("truth", 8)}
    assert asked == truth | {(way, c) for way in ("before", "prior") for c in (8, 16, 32)} | {
        ("word", 16),
        ("word", 32),
    }
    assert len(cells) == len(set(cells)), "each cell once"
    assert not [
        cell for cell in dreambooth_study.study_grid(OPEN, [8], ["fox"], [], ["word"], [4], **how) if cell.tuned
    ]


@pytest.mark.slow
def test_a_small_run_leaves_rows_before_and_after_and_one_training_serves_all_lengths(tmp_path, monkeypatch):
    trainings = []
    fit = dreambooth.fit
    monkeypatch.setattr(dreambooth, "fit", lambda *a, **k: trainings.append(k["lengths"]) or fit(*a, **k))
    cells = dreambooth_study.dreambooth_grid(
        SMOKE, [8], ["fox"], ["prior", "no prior", "prior and word"], [1, 2], steps=2, guidance=2, n=16
    )
    store, evaluator = Store(tmp_path), Small(SMOKE, (1, 2), dreambooth.Recipe(learning_rate=0.03, drawn=16))
    rows = run(cells, store=store, evaluator=evaluator)
    assert trainings == [[8, 16]] * 3
    value = rows.set_index(["task", "train_steps", "metric"])["value"]
    assert value["truth", 0, "recognised_scene"] == 1 and value["truth", 0, "true_scene"] == pytest.approx(1)
    assert value["before", 0, "recognised_scene"] < 0.5 < value["truth", 0, "prompt"]
    assert value["prior", 2, "class_drift"] > value["prior", 1, "class_drift"] > 0
    assert value["prior", 2, "class_drift"] != value["no prior", 2, "class_drift"]
    asked = [next(cell for cell in cells if cell.variant == name) for name in ("before", "prior and word")]
    before, after = (evaluator._generator(cell).text for cell in asked)
    named, others = ["a sks cat, flat style"], ["a cat, flat style", ""]
    assert (before.encode(named) != after.encode(named)).any()
    assert (before.encode(others) == after.encode(others)).all(), "no other word has learnt"
    table, _ = booth.over_subjects(rows, {evaluator.key(cell): cell.subject for cell in cells})
    assert charts.by_size(table, ["recognised_scene", "class_drift"]).to_dict()["vconcat"]
    assert charts.by_steps(table, ["true_scene"], "prior").to_dict()["vconcat"]
    floor = charts.limits(table, ["true_scene"])
    assert len(floor) == 1 and len(floor.columns) == 3  # a size before finetuning, and the true pictures


@pytest.mark.parametrize(
    "field, says",
    [
        ({"variant": "posterior"}, "expected truth, before or one of"),
        ({"tuned": 0}, "expected 1 to 10000"),
        ({"n": 17}, "even number"),
    ],
)
def test_a_wrong_cell_is_refused(field, says):
    fields = dict(
        study="dreambooth",
        profile="smoke",
        c=8,
        images=SMOKE.length,
        steps=4,
        guidance=2.0,
        n=16,
        subject="fox",
        tuned=4,
    )
    with pytest.raises(ValueError, match=says):
        dreambooth_study.DreamBooth(**(fields | field))
