"""CLIP's text tower is causal, and its tokenizer refuses files that are broken; references/ has both beside theirs."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest

from ldm.interop.stable_diffusion.tokenizer import ClipTokenizer, read_tokenizer
from ldm.networks.clip_text import ClipText, ClipTextConfig
from ldm.networks.structure import abstract, merge
from tests.vocabulary import vocabulary, write_vocabulary


@partial(jax.jit, static_argnums=0)
def forward(structure, params, ids):
    return merge(structure, params)(ids)


def test_a_position_does_not_see_what_follows():
    config = ClipTextConfig(vocabulary=50, length=9, width=16, hidden=32, layers=2, heads=2)
    structure, like = abstract(lambda keys: ClipText(config, keys=keys))
    rng = np.random.default_rng(0)
    params = {name: rng.standard_normal(a.shape).astype(np.float32) for name, a in like.items()}
    ids = rng.integers(0, 50, (1, 9)).astype(np.int32)
    changed = np.where(np.arange(9) < 5, ids, (ids + 1) % 50)
    one, other = forward(structure, params, ids), forward(structure, params, changed)
    np.testing.assert_array_equal(one[:, :5], other[:, :5])
    assert np.abs(one[:, 5:] - other[:, 5:]).min(-1).max() > 0


@pytest.mark.usefixtures("any_types")
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"layers": 0}, "layers = 0: expected a whole number of at least 1"),
        ({"heads": 7}, "heads = 7: expected a divisor of width = 768"),
        ({"activation": "relu"}, "activation = 'relu': expected one of quick_gelu, gelu"),
    ],
)
def test_an_impossible_tower_is_refused(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        ClipTextConfig(**fields)


def test_the_tower_may_have_fewer_positions_than_the_files_allow(tmp_path):
    ids = read_tokenizer(write_vocabulary(tmp_path), length=5)(["license license license license"])
    end = len(vocabulary()[0]) - 1
    assert ids.shape == (1, 5) and ids[0, 0] == end - 1 and ids[0, -1] == end


def append(path, text):
    path.write_text(path.read_text() + text)


def cut(path):
    path.write_text(path.read_text()[:999])


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda f: (f / "merges.txt").unlink(), "merges.txt does not exist"),
        (lambda f: (f / "merges.txt").write_text("a b c\n"), "holds no CLIP vocabulary"),
        (lambda f: append(f / "merges.txt", "zebra crossing\n"), "merges do not fit the vocabulary"),
        (lambda f: (f / "merges.txt").write_text(""), "no merge makes .* the merges are cut short"),
        (lambda f: cut(f / "merges.txt"), "no merge makes .* the merges are cut short"),
        (lambda f: (f / "added_tokens.json").write_text('{"<cat-toy>": 9999}'), "'<cat-toy>' has id 9999 where"),
        (lambda f: (f / "vocab.json").write_text("[]"), "holds no CLIP vocabulary"),
        (lambda f: (f / "vocab.json").write_text('{"a": 0}'), "The vocabulary of 1 tokens lacks"),
        (
            lambda f: (f / "special_tokens_map.json").write_text('{"bos_token": "<s>"}'),
            "bos_token is '<s>' where CLIP has",
        ),
    ],
)
def test_broken_files_are_refused_in_one_sentence(tmp_path, harm, sentence):
    harm(write_vocabulary(tmp_path))
    with pytest.raises(ValueError, match=sentence) as refused:
        read_tokenizer(tmp_path)(["a cat"])
    assert "\n" not in str(refused.value)


def test_one_string_is_no_list_of_captions():
    tokens, merges = vocabulary()
    tokenizer = ClipTokenizer(vocabulary=tokens, merges=[tuple(merge.split()) for merge in merges])
    with pytest.raises(ValueError, match="captions = 'a cat': expected a list of captions"):
        tokenizer("a cat")
