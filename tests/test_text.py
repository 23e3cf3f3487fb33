"""The text tower: ids, contexts, and what is said about captions it cannot read."""

from __future__ import annotations

import numpy as np
import pytest

from ldm import paths, profiles
from ldm.data.scenes.captions import max_words, words
from ldm.data.scenes.dataset import Scenes
from ldm.networks import text, weights

SHIPPED = paths.WEIGHTS / "open" / "text.safetensors"
STUDY = profiles.get("laptop-eps").scenes

WORDS = ("a", "apple", "banana", "on", "red")


@pytest.fixture(scope="module")
def encoder():
    return text.build(WORDS, length=6, width=16, layers=2, heads=2)


@pytest.fixture(scope="module")
def shipped():
    return text.load_text_encoder(SHIPPED)


def test_ids_are_the_words_then_the_end_then_padding():
    tokenizer = text.Tokenizer(words=WORDS, length=6)
    ids = tokenizer(["A red, apple", ""])
    assert ids.tolist() == [[2, 6, 3, 1, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert ids.dtype == np.int32


def test_an_unknown_word_is_named_with_its_neighbours():
    tokenizer = text.Tokenizer(words=WORDS)
    with pytest.raises(ValueError, match=r"'bananna' .*did you mean 'banana'\?"):
        tokenizer(["a bananna"])
    with pytest.raises(ValueError, match="'zzzzz' .*use words such as 'a', "):
        tokenizer(["zzzzz"])


def test_a_caption_fills_all_positions_but_one_and_no_more():
    tokenizer = text.Tokenizer(words=WORDS, length=4)
    assert tokenizer(["a red apple"])[0].tolist() == [2, 6, 3, 1]
    with pytest.raises(ValueError, match="has 4 words: expected at most 3"):
        tokenizer(["a red red apple"])


@pytest.mark.parametrize("bad", [{"words": ("a", "a")}, {"words": ()}, {"words": WORDS, "length": 1}])
def test_a_tokenizer_refuses_a_vocabulary_that_is_none(bad):
    with pytest.raises(ValueError, match="expected at least"):
        text.Tokenizer(**bad)


def test_one_caption_in_place_of_a_list_is_refused(encoder):
    with pytest.raises(ValueError, match="expected a list of captions"):
        encoder.encode("a red apple")


def test_contexts_do_not_depend_on_their_neighbours_or_number(encoder, compiles_once):
    captions = ["a red apple", "", "banana", "a banana on a"] * 20  # more than one batch
    compiles_once.reset(text._encode)
    together = encoder.encode(captions)
    alone = np.concatenate([encoder.encode([caption]) for caption in captions[:4]])
    assert together.shape == (80, 6, 16) and together.dtype == np.float32
    np.testing.assert_allclose(together[:4], alone, atol=1e-6)
    assert encoder.encode([]).shape == (0, 6, 16)
    compiles_once(text._encode)


def test_words_see_each_other_in_both_directions_but_never_the_padding(encoder):
    base, last, first = encoder.encode(["a red apple", "a red banana", "on red apple"])
    assert np.abs(base[0] - last[0]).max() > 1e-3  # the first word knows the last one
    assert np.abs(base[2] - first[2]).max() > 1e-3
    # Were padding attended to, another embedding of it would change the words' contexts.
    table = encoder.params["token_embedding"]
    params = encoder.params | {"token_embedding": table.at[text.PAD, 0].add(3.0)}
    other = text.TextEncoder(structure=encoder.structure, params=params, tokenizer=encoder.tokenizer, width=16).encode(
        ["a red apple"]
    )[0]
    np.testing.assert_allclose(base[:4], other[:4], atol=1e-6)
    assert np.abs(base[4:] - other[4:]).max() > 1e-3


def test_the_null_condition_is_the_empty_caption(encoder):
    null = encoder.null(3)
    np.testing.assert_array_equal(null, np.repeat(encoder.encode([""]), 3, 0))
    assert np.isfinite(null).all() and 0.5 < null.std() < 2


def test_a_file_of_other_weights_is_refused(tmp_path, encoder):
    path = tmp_path / "other.safetensors"
    weights.save(path, {"x": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match="does not describe a text tower"):
        text.load_text_encoder(path)
    tower = {"words": WORDS, "length": 6, "width": 16, "layers": 2, "heads": 2}
    weights.save(path, {k: v for k, v in encoder.params.items() if "mlp" not in k}, {"tower": tower})
    with pytest.raises(ValueError, match="lacks 8 of"):
        text.load_text_encoder(path)
    weights.save(path, encoder.params, {"tower": tower})
    again = text.load_text_encoder(path)
    np.testing.assert_array_equal(again.encode(["a red apple"]), encoder.encode(["a red apple"]))


def test_the_shipped_tower_reads_every_caption_of_the_study(shipped):
    assert shipped.tokenizer.words == words(STUDY)
    assert max_words(STUDY) < shipped.tokenizer.length
    captions = Scenes(STUDY, "heldout", 50).captions(range(50))
    context = shipped.encode([*captions, ""])
    assert context.shape == (51, 24, 128)
    assert 0.5 < context.std() < 2
    # Different captions have different contexts, at padded positions too.
    last = context[:, -1]
    distance = np.abs(last[:, None] - last[None]).mean(-1) + np.eye(51)
    assert distance.min() > 0.01


def test_the_shipped_tower_knows_what_it_was_trained_to_know():
    accuracy = weights.metadata(SHIPPED)["accuracy"]
    assert accuracy["retrieval"] > 0.9
    assert accuracy["colour changed"] > 0.9
    assert SHIPPED.stat().st_size < 4_000_000
