"""CLIP's text tower and tokenizer against those of transformers."""

from __future__ import annotations

import json
from functools import partial

import jax
import numpy as np
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ldm.interop.stable_diffusion.parts import TEXT, read_text
from ldm.interop.stable_diffusion.tokenizer import ClipTokenizer, read_tokenizer, write_tokenizer
from ldm.networks.clip_text import VIT_H, VIT_L, ClipText, ClipTextConfig
from ldm.networks.layers import abstract, merge
from ldm.networks.torch_layout import from_torch, to_torch
from tests.stable_diffusion import END, ROOT, START, text_tower, vocabulary, write_vocabulary


@partial(jax.jit, static_argnums=0)
def forward(structure, params, ids):
    return merge(structure, params)(ids)


def compare(config: ClipTextConfig, params, theirs: CLIPTextModel) -> None:
    """Equal to 1e-4 of the largest entry, at every position."""
    ids = np.random.default_rng(0).integers(0, config.vocabulary, (2, config.length))
    with torch.no_grad():
        states = theirs(torch.from_numpy(ids), output_hidden_states=True).hidden_states
        expected = theirs.final_layer_norm(states[-2 if config.penultimate else -1]).numpy()
    structure, _ = abstract(lambda keys: ClipText(config, keys=keys))
    ours = np.asarray(forward(structure, params, ids.astype(np.int32)))
    assert expected.std() > 0.3
    assert np.abs(ours - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("penultimate", [False, True])
def test_a_small_tower_reads_its_folder_and_is_that_of_transformers(tmp_path, activation, penultimate):
    theirs = text_tower(hidden_act=activation)
    theirs.save_pretrained(tmp_path)
    config, params = read_text(tmp_path)
    config = ClipTextConfig(**vars(config) | {"penultimate": penultimate})
    assert (config.width, config.layers, config.heads, config.activation) == (64, 3, 4, activation)
    compare(config, params, theirs)


# full width, with a small vocabulary; ViT-H's layers are alike, and four of them cost a sixth of the time
@pytest.mark.parametrize("tower", [VIT_L, ClipTextConfig(**vars(VIT_H) | {"layers": 4})], ids=["ViT-L", "ViT-H"])
def test_a_tower_of_full_width_is_that_of_transformers(tower):
    config = ClipTextConfig(**vars(tower) | {"vocabulary": 500})
    theirs = text_tower(**{theirs: getattr(config, ours) for ours, theirs in TEXT.items()}, initializer_factor=1.0)
    params = {name: from_torch(name, tensor.numpy()) for name, tensor in theirs.state_dict().items()}
    compare(config, params, theirs)


@pytest.mark.parametrize("config, millions", [(VIT_L, 123.060480), (VIT_H, 340.387840)], ids=["ViT-L", "ViT-H"])
def test_the_towers_of_stable_diffusion_have_the_weights_that_transformers_has(config, millions):
    _, like = abstract(lambda keys: ClipText(config, keys=keys))
    with torch.device("meta"):
        theirs = CLIPTextModel(CLIPTextConfig(**{theirs: getattr(config, ours) for ours, theirs in TEXT.items()}))
    ours = {name: to_torch(name, np.broadcast_to(np.float32(0), a.shape)).shape for name, a in like.items()}
    assert ours == {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
    assert sum(a.size for a in like.values()) == round(millions * 1e6)


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


CAPTIONS = [
    "a photo of a cat",
    "A Photo of 2 Cats!",
    "",
    " ",
    "it's he'll we'VE I'd I'M don't don’t",
    "x  \t\n y\u2028z",
    "naïve café cafe\u0301 CAFÉ",
    "猫と犬",
    "🤗🤗 👨‍👩‍👧 emoji!",
    "!!!wow!!! !",
    f"{END} a{START}b",
    "<|STARTOFTEXT|>b <|EndOfText|>",
    "license " * 200,
    "1234 12.5% $3",
    "привет мир",
    "عربى",
    "ﬁ Ⅷ ½ ß ẞ İ ǅ",
    "\u200bzero\u00a0width",
    "'S 's''s !'s",
    "\x00\x01",
]


def strings(n: int) -> list[str]:
    """Random strings of words, letters, marks, figures, signs, blanks and emoji."""
    codes = [
        *range(32, 127),
        *range(0xA0, 0x180),
        *range(0x391, 0x3CA),
        *range(0x4E00, 0x4E20),
        *range(0x1F600, 0x1F640),
    ]
    pool = [chr(code) for code in [*codes, 9, 10, 0x200D, 0x300, 0x301, 0x2028, 0x3000]]
    words = [f" {word} " for word in (ROOT / "LICENSE").read_text().split()]
    rng = np.random.default_rng(0)
    return [
        "".join([*rng.choice(pool, rng.integers(1, 60)), *rng.choice(words, 9), *rng.choice(pool, 5)]) for _ in range(n)
    ]


@pytest.mark.parametrize("pad", [END, "!"], ids=["sd1", "sd2"])
@pytest.mark.parametrize("normalized", [True, False])
def test_ids_are_those_of_transformers_from_every_form_of_the_files(tmp_path, pad, normalized):
    captions = CAPTIONS + strings(400)
    theirs = CLIPTokenizer.from_pretrained(write_vocabulary(tmp_path / "released", pad, normalized))
    theirs.save_pretrained(tmp_path / "saved")  # one tokenizer.json
    write_tokenizer(tmp_path / "ours", read_tokenizer(tmp_path / "released"))
    ask = dict(padding="max_length", max_length=77, truncation=True, return_tensors="np")
    expected = theirs(captions, **ask).input_ids
    assert theirs.pad_token_id == (0 if pad == "!" else expected.max())
    assert len(np.unique(expected)) > 500  # merged tokens, not only bytes
    for folder in ("released", "saved", "ours"):
        ours = read_tokenizer(tmp_path / folder)(captions)
        assert ours.shape == (len(captions), 77) and ours.dtype == np.int32
        np.testing.assert_array_equal(ours, expected, err_msg=folder)
    again = CLIPTokenizer.from_pretrained(tmp_path / "ours")
    np.testing.assert_array_equal(again(captions, **ask).input_ids, expected)


ADDED = [
    "a photo of <cat-toy> on a table",
    "<cat-toy>",
    "A PHOTO OF <CAT-TOY>, <cat-toy>s and <sks>!",
    "the<cat-toy>the  <Style> x <Style>y <style> <pin>",
    "<cat-toy><cat-toy>_1 <cat-toy>_2",
    "MyWord myword mywords my_word",
]


def older(folder):
    """The files as transformers wrote them before version 4.34: added tokens beside the vocabulary."""
    new = {"<cat-toy>": 0, "<Style>": 1, "<sks>": 2, "MyWord": 3}
    n = len(vocabulary()[0])
    (folder / "added_tokens.json").write_text(json.dumps({token: n + i for token, i in new.items()}))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"additional_special_tokens": ["<sks>"]}))


def newer(folder):
    """The files since then: every added token with how it is looked for."""
    n = len(vocabulary()[0])
    flags = dict(lstrip=False, normalized=True, rstrip=False, single_word=False, special=False)
    special = flags | dict(normalized=False, special=True)
    added = {
        n - 2: special | {"content": START},
        n - 1: flags | {"content": END, "special": True},
        n: flags | {"content": "<cat-toy>", "lstrip": True},
        n + 1: special | {"content": "<Style>"},
        n + 2: flags | {"content": "<sks>", "rstrip": True, "normalized": False},
        n + 3: flags | {"content": "MyWord", "single_word": True},
        n + 4: special | {"content": "<pin>"},
    }
    path = folder / "tokenizer_config.json"
    named = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": "<pin>", "model_max_length": 77}
    path.write_text(json.dumps(named | {"added_tokens_decoder": added, "additional_special_tokens": ["<pin>"]}))


def named_only(folder):
    """A token that only the list of special ones names: it takes the next free id."""
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"extra_special_tokens": ["<cat-toy>"]}))


@pytest.mark.parametrize("write", [older, newer, named_only])
@pytest.mark.parametrize("pad", [END, "!"], ids=["sd1", "sd2"])
def test_tokens_added_since_are_found_as_transformers_finds_them_and_written_again(tmp_path, write, pad):
    captions, n = ADDED + CAPTIONS + strings(50), len(vocabulary()[0])
    write(write_vocabulary(tmp_path / "released", pad))
    theirs = CLIPTokenizer.from_pretrained(tmp_path / "released")
    theirs.save_pretrained(tmp_path / "saved")
    ask = dict(padding="max_length", max_length=77, truncation=True, return_tensors="np")
    expected = theirs(captions, **ask).input_ids
    assert n in expected[0]
    write_tokenizer(tmp_path / "ours", read_tokenizer(tmp_path / "released"))
    for folder in ("released", "saved", "ours"):
        np.testing.assert_array_equal(read_tokenizer(tmp_path / folder)(captions), expected, err_msg=folder)
    again = CLIPTokenizer.from_pretrained(tmp_path / "ours")
    np.testing.assert_array_equal(again(captions, **ask).input_ids, expected)
    assert again.added_tokens_decoder == theirs.added_tokens_decoder


def test_tokens_that_transformers_adds_come_back_with_the_larger_table_of_the_tower(tmp_path):
    theirs, tower = CLIPTokenizer.from_pretrained(write_vocabulary(tmp_path / "v")), text_tower()
    assert theirs.add_tokens(["<cat-toy>", "<cat-toy>_1"]) == 2
    tower.resize_token_embeddings(len(theirs))
    theirs.save_pretrained(tmp_path / "tokenizer")
    tower.save_pretrained(tmp_path / "tower")
    n, (config, params) = len(vocabulary()[0]), read_text(tmp_path / "tower")
    assert config.vocabulary == n + 2 and n in read_tokenizer(tmp_path / "tokenizer")(ADDED[:1])
    compare(config, params, tower)


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
