"""CLIP's tokenizer: captions to ids by byte pair encoding (Sennrich et al. 2016; Radford et al. 2021).

A vocabulary is two files, as OpenAI released CLIP's: `vocab.json`, token -> id, and `merges.txt`, the
pairs to join, most frequent first. What is not in them is part of the method and stands here: how text
is normalised and cut into words. Towers differ only in what fills a row after the end: Stable
Diffusion 1 repeats ``<|endoftext|>``, Stable Diffusion 2 writes id 0, "!". Tokens may have been added since, as textual
inversion does (Gal et al. 2022): they are found in a caption before it is cut.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from jaxtyping import Int
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers

from ldm.files import write_atomic

START, END = "<|startoftext|>", "<|endoftext|>"
ADDED = "added_tokens_decoder"
FLAGS = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
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
    added: Mapping[int, AddedToken] = field(default_factory=dict)  # by id; start, end and padding are always among them

    def __post_init__(self):
        for name, among in ((START, self.vocabulary), (END, self.vocabulary), (self.pad, self.ids)):
            if name not in among:
                raise ValueError(f"The vocabulary of {len(self.vocabulary)} tokens lacks {name!r}; use CLIP's own.")
        if self.length < 2:
            raise ValueError(f"length = {self.length}: expected at least 2, the start and the end.")
        special = {self.ids[name]: AddedToken(name, special=True, normalized=False) for name in (START, END, self.pad)}
        object.__setattr__(self, "added", special | dict(self.added))

    @cached_property
    def ids(self) -> dict[str, int]:
        """Every token and its id, the added ones too."""
        return {**self.vocabulary, **{token.content: i for i, token in self.added.items()}}

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
        # An added token is found before the text is cut: in a tower padded with "!", every "!" is the pad.
        bpe.add_tokens([token for _, token in sorted(self.added.items())])
        for i, token in self.added.items():
            if (got := bpe.token_to_id(token.content)) != i:
                raise ValueError(
                    f"The added token {token.content!r} has id {i} where {got} is the next free one; "
                    "give the added tokens the ids that follow the vocabulary's, without a gap."
                )
        return bpe

    def __call__(self, captions: Sequence[str]) -> Int[np.ndarray, "n length"]:
        """Return the ids. Raises: ValueError for a single string, and for a caption that is none."""
        if isinstance(captions, str) or not all(isinstance(caption, str) for caption in captions):
            raise ValueError(f"captions = {captions!r}: expected a list of captions, each a string.")
        start, end, pad = (self.ids[token] for token in (START, END, self.pad))
        rows = np.full((len(captions), self.length), pad, np.int32)
        for row, encoding in zip(rows, self._bpe.encode_batch(list(captions), add_special_tokens=False), strict=True):
            ids = [start, *encoding.ids[: self.length - 2], end]
            row[: len(ids)] = ids
        return rows


def read_tokenizer(folder: str | Path, length: int = 77) -> ClipTokenizer:
    """Return the tokenizer of a pipeline's `tokenizer/`: `vocab.json` and `merges.txt`, or else `tokenizer.json`.

    Args:
        length: the tower's positions; the folder's `model_max_length` may be less.
    Raises: ValueError, in one sentence, for a file that is missing or says something else.
    """
    folder = Path(folder)
    try:
        whole = _json(folder / "tokenizer.json")
        if whole and not (folder / "vocab.json").is_file():
            vocabulary, merges = whole["model"]["vocab"], whole["model"]["merges"]
            merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in merges]
        else:
            vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
            lines = (folder / "merges.txt").read_text("utf-8").split("\n")
            merges = [line.split() for line in lines if line and not line.startswith("#version")]
        if merges and len(merges[-1]) == 1:  # a file that is cut within a line: `_check_merges` says what is lost
            merges.pop()
        pairs = [(left, right) for left, right in merges]
        vocabulary = {str(token): int(i) for token, i in vocabulary.items()}
        named = _json(folder / "tokenizer_config.json")
        if ADDED not in named:  # as transformers: a file of before version 4.34, which has this one beside it
            named |= _json(folder / "special_tokens_map.json")
        roles = {role: _special(named.get(role) or default) for role, default in ROLES.items()}
        added = _added(named, roles, _json(folder / "added_tokens.json"), whole.get("added_tokens", []), vocabulary)
        most = min(length, int(named.get("model_max_length", length)))
    except FileNotFoundError as error:
        raise ValueError(
            f"{error.filename} does not exist; expected vocab.json and merges.txt, or tokenizer.json, in {folder}."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder} holds no CLIP vocabulary ({error!r}); copy the folder again.") from None
    for role in ("bos_token", "eos_token", "unk_token"):
        if roles[role].content != ROLES[role]:
            raise ValueError(
                f"{folder}: {role} is {roles[role].content!r} where CLIP has {ROLES[role]!r}; use CLIP's own."
            )
    _check_merges(folder, vocabulary, pairs, {token.content for token in added.values()})
    return ClipTokenizer(vocabulary=vocabulary, merges=pairs, pad=roles["pad_token"].content, length=most, added=added)


def _special(token: str | Mapping[str, Any]) -> AddedToken:
    """Return a special token as the files write it: its text alone, or with how it is looked for."""
    if isinstance(token, str):
        return AddedToken(token, special=True, normalized=False)
    fields: dict[str, Any] = {name: value for name, value in token.items() if name in FLAGS} | {"special": True}
    return AddedToken(**fields)


def _added(
    named: Mapping[str, Any],
    roles: Mapping[str, AddedToken],
    older: Mapping[str, int],
    newer: Sequence[Mapping[str, Any]],
    vocabulary: Mapping[str, int],
) -> dict[int, AddedToken]:
    """Return the added tokens by their ids, as transformers finds them in the files of all its versions.

    Args:
        named: `tokenizer_config.json`, with `added_tokens_decoder` since version 4.34.
        older, newer: `added_tokens.json`, and what `tokenizer.json` has of them; read where that field is absent.
    """
    extra = named.get("extra_special_tokens") or named.get("additional_special_tokens") or []
    special = [_special(token) for token in (extra.values() if isinstance(extra, Mapping) else extra)]
    special = {token.content: token for token in [*roles.values(), *special]}  # as its last role has it
    if ADDED in named:
        added = {int(i): AddedToken(**token) for i, token in named[ADDED].items()}
    else:
        added = {
            int(i): AddedToken(token, normalized=token not in special, special=token in special)
            for token, i in older.items()
        }
        added |= {token["id"]: AddedToken(**{name: token[name] for name in FLAGS}) for token in newer}
    known = {token.content for token in added.values()}
    for content in (content for content in special if content not in known):
        free = max([*vocabulary.values(), *added]) + 1
        added[vocabulary.get(content, free)] = special[content]
    return added


def write_tokenizer(folder: str | Path, tokenizer: ClipTokenizer) -> None:
    """Write the files that `read_tokenizer` reads and that `transformers.CLIPTokenizer` does."""
    folder = Path(folder)
    merges = "".join(f"{left} {right}\n" for left, right in tokenizer.merges)
    added = {i: {flag: getattr(token, flag) for flag in FLAGS} for i, token in sorted(tokenizer.added.items())}
    flags = {token["content"]: {flag: token[flag] for flag in FLAGS[:-1]} for token in added.values()}
    roles = ROLES | {"pad_token": tokenizer.pad}
    about = {"tokenizer_class": "CLIPTokenizer", "model_max_length": tokenizer.length, "add_prefix_space": False}
    write_atomic(folder / "vocab.json", json.dumps(dict(tokenizer.vocabulary), ensure_ascii=False).encode())
    write_atomic(folder / "merges.txt", f"#version: 0.2\n{merges}".encode())
    files = {
        "special_tokens_map": {role: flags[token] for role, token in roles.items()},
        "tokenizer_config": {**about, **roles, ADDED: added},
    }
    if new := {token: i for token, i in tokenizer.ids.items() if token not in tokenizer.vocabulary}:
        files["added_tokens"] = new  # for transformers before version 4.34
    for name, content in files.items():
        write_atomic(folder / f"{name}.json", (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def _check_merges(
    folder: Path, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]], added: set[str]
) -> None:
    """Raise ValueError where tokens of several letters are made by no merge, as where the file is empty or cut."""
    made = {left + right for left, right in merges} | added
    lost = [token for token in vocabulary if len(token.removesuffix("</w>")) > 1 and token not in made]
    if lost:
        raise ValueError(
            f"{folder}: no merge makes {lost[0]!r} and {len(lost) - 1} more of the {len(vocabulary)} tokens of the "
            "vocabulary; the merges are cut short or of another release, copy them again."
        )


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}
