"""A small vocabulary laid out as CLIP's, and the files that Stable Diffusion's releases keep it in."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parents[1]
START, END = "<|startoftext|>", "<|endoftext|>"


@functools.cache
def vocabulary() -> tuple[dict[str, int], list[str]]:
    """A small byte pair encoding laid out as CLIP's: bytes, bytes that end a word, merges, start and end."""
    bpe = tokenizers.Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    text = (ROOT / "README.md").read_text() + (ROOT / "LICENSE").read_text()
    accents = "naïve café déjà привет мир 猫と犬 🤗 🎉 it's we'll I'd don't they've " * 9
    bpe.train_from_iterator(
        text.lower().split() + accents.split(),
        trainers.BpeTrainer(vocab_size=2000, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False),
    )
    merges = [" ".join(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    merged = [merge.replace(" ", "") for merge in merges]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *merged, START, END]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges


def write_vocabulary(folder: Path, pad: str = END, normalized: bool = True) -> Path:
    """`tokenizer/` as Stable Diffusion 1 (pad = end) and 2 (pad = "!") have it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens, merges = vocabulary()
    (folder / "vocab.json").write_text(json.dumps(tokens))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    special = lambda content: dict(
        content=content, lstrip=False, normalized=normalized, rstrip=False, single_word=False
    )
    named = {"bos_token": special(START), "eos_token": special(END), "unk_token": special(END), "pad_token": pad}
    (folder / "special_tokens_map.json").write_text(json.dumps(named))
    # as in Stable Diffusion 2, the two files disagree about the padding
    (folder / "tokenizer_config.json").write_text(json.dumps(named | {"pad_token": END, "model_max_length": 77}))
    return folder
