"""CLIP's text tower and tokenizer against those of transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ldm.interop.stable_diffusion.parts import TEXT, read_text
from ldm.interop.stable_diffusion.tokenizer import read_tokenizer, write_tokenizer
from ldm.networks.clip_text import ClipText, ClipTextConfig
from ldm.networks.structure import abstract
from ldm.networks.torch_layout import from_torch, to_torch
from tests.references.stable_diffusion import text_tower
from tests.test_stable_diffusion_text import forward
from tests.vocabulary import END, ROOT, START, vocabulary, write_vocabulary

VIT_L = ClipTextConfig()
VIT_H = ClipTextConfig(width=1024, hidden=4096, layers=23, heads=16, activation="gelu")


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
