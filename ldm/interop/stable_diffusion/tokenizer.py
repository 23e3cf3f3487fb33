"""CLIP's tokenizer: captions to ids by byte pair encoding (Sennrich et al. 2016; Radford et al. 2021).

A vocabulary is two files, as OpenAI released CLIP's: `vocab.json`, token -> id, and `merges.txt`, the
pairs to join, most frequent first. What is not in them is part of the method and stands here: how text
is normalised and cut into words. Towers differ only in what fills a row after the end: Stable
Diffusion 1 repeats <|endoftext|>, Stable Diffusion 2 writes id 0, "!".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import tokenizers
from jaxtyping import Int
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers

from ldm.files import write_atomic

START, END = "<|startoftext|>", "<|endoftext|>"
ROLES = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
# Contractions, runs of letters, single digits, runs of other signs: CLIP joins no token across these.
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipTokenizer:
    """Captions -> int32 ids (n, length): start, tokens, end, padding. Too long a caption is cut."""

    vocabulary: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    pad: str = END
    length: int = 77  # of every row, start and end included
    normalized: frozenset[str] = field(default=frozenset())  # special tokens that are looked for in lower case

    def __post_init__(self):
        for name in (START, END, self.pad):
            if name not in self.vocabulary:
                raise ValueError(f"The vocabulary of {len(self.vocabulary)} tokens lacks {name!r}; use CLIP's own.")
        if self.length < 2:
            raise ValueError(f"length = {self.length}: expected at least 2, the start and the end.")

    @cached_property
    def _bpe(self) -> tokenizers.Tokenizer:
        try:
            model = models.BPE(
                vocab=dict(self.vocabulary),
                merges=list(self.merges),
                unk_token=END,
                end_of_word_suffix="</w>",
                continuing_subword_prefix="",
                fuse_unk=False,
            )
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"merges do not fit the vocabulary ({error}); take both from one release.") from None
        bpe = tokenizers.Tokenizer(model)
        bpe.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        # A special token is found before the text is cut: in a tower padded with "!", every "!" is the pad.
        special = dict.fromkeys((START, END, self.pad))
        bpe.add_special_tokens([AddedToken(t, special=True, normalized=t in self.normalized) for t in special])
        return bpe

    def __call__(self, captions: Sequence[str]) -> Int[np.ndarray, "n length"]:
        """Raises: ValueError for a single string, and for a caption that is none."""
        if isinstance(captions, str) or not all(isinstance(caption, str) for caption in captions):
            raise ValueError(f"captions = {captions!r}: expected a list of captions, each a string.")
        start, end = self.vocabulary[START], self.vocabulary[END]
        rows = np.full((len(captions), self.length), self.vocabulary[self.pad], np.int32)
        for row, encoding in zip(rows, self._bpe.encode_batch(list(captions), add_special_tokens=False), strict=True):
            ids = [start, *encoding.ids[: self.length - 2], end]
            row[: len(ids)] = ids
        return rows


def read_tokenizer(folder: str | Path, length: int = 77) -> ClipTokenizer:
    """The tokenizer of a pipeline's `tokenizer/`: `vocab.json` and `merges.txt`, or else `tokenizer.json`.

    Args:
        length: the tower's positions; the folder's `model_max_length` may be less.
    Raises: ValueError, in one sentence, for a file that is missing or says something else.
    """
    folder = Path(folder)
    try:
        added = {}
        if (folder / "vocab.json").is_file():
            vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
            lines = (folder / "merges.txt").read_text("utf-8").split("\n")
            merges = [line.split() for line in lines if line and not line.startswith("#version")]
        else:
            whole = json.loads((folder / "tokenizer.json").read_text("utf-8"))
            vocabulary, merges = whole["model"]["vocab"], whole["model"]["merges"]
            merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in merges]
            added = {token["content"]: token["normalized"] for token in whole["added_tokens"]}
        pairs = [(left, right) for left, right in merges]
        vocabulary = {str(token): int(i) for token, i in vocabulary.items()}
        named = _json(folder / "tokenizer_config.json") | _json(folder / "special_tokens_map.json")
        special = {role: _special(named.get(role, default)) for role, default in ROLES.items()}
        most = min(length, int(named.get("model_max_length", length)))
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename} does not exist; expected vocab.json and merges.txt in {folder}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder} holds no CLIP vocabulary ({error!r}); copy the folder again.") from None
    for role in ("bos_token", "eos_token", "unk_token"):
        if special[role][0] != ROLES[role]:
            raise ValueError(
                f"{folder}: {role} is {special[role][0]!r} where CLIP has {ROLES[role]!r}; use CLIP's own."
            )
    flags = dict(special.values()) | added  # a token of several roles is as its last role has it
    return ClipTokenizer(
        vocabulary=vocabulary,
        merges=pairs,
        pad=special["pad_token"][0],
        length=most,
        normalized=frozenset(token for token, normalized in flags.items() if normalized),
    )


def _special(token: str | Mapping) -> tuple[str, bool]:
    """A special token and whether it is looked for in normalised text; a plain string is not."""
    return (token, False) if isinstance(token, str) else (token["content"], token.get("normalized", True))


def write_tokenizer(folder: str | Path, tokenizer: ClipTokenizer) -> None:
    """The files that `read_tokenizer` reads and that `transformers.CLIPTokenizer` does."""
    folder = Path(folder)
    merges = "".join(f"{left} {right}\n" for left, right in tokenizer.merges)
    special = {
        role: {
            "content": token,
            "lstrip": False,
            "normalized": token in tokenizer.normalized,
            "rstrip": False,
            "single_word": False,
        }
        for role, token in (ROLES | {"pad_token": tokenizer.pad}).items()
    }
    about = {"tokenizer_class": "CLIPTokenizer", "model_max_length": tokenizer.length, "add_prefix_space": False}
    write_atomic(folder / "vocab.json", json.dumps(dict(tokenizer.vocabulary), ensure_ascii=False).encode())
    write_atomic(folder / "merges.txt", f"#version: 0.2\n{merges}".encode())
    for name, content in {"special_tokens_map": special, "tokenizer_config": {**about, **special}}.items():
        write_atomic(folder / f"{name}.json", (json.dumps(content, indent=2) + "\n").encode())


def _json(path: Path) -> dict:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}
