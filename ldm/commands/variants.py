"""What a notebook run with other parameters is called, where it lies, and what it leaves out.

A chapter is `notebooks/NAME.ipynb` of a build, run as it stands. Run with other parameters it lies beside it, in
`NAME--sizes-16-32.ipynb`, so that neither takes the other's place. Its metadata say, under `ldm`, what was changed and
which versions ran; `book/build.py` makes a page of it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
from collections.abc import Mapping
from typing import Any

from ldm.paths import ROOT

RECORDED = "recorded"  # tag of the Markdown that is true of the recorded numbers alone
CHECKS = ("recompute",)  # parameters that change no number: what of the record is run again
LONGEST = 80  # characters of a name


def changed(given: Mapping[str, Any], known: Mapping[str, Any], profile: str | None = None) -> dict[str, Any]:
    """Return the parameters that differ from the notebook's own, in its order; `profile`: the one that is no change."""
    own = {**known, **({} if profile is None else {"profile": profile})}
    return {name: given[name] for name in known if name in given and given[name] != own[name]}


def changed_in(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that an executed notebook (as JSON) was given in place of its own; {} of a chapter."""
    return notebook.get("metadata", {}).get("ldm", {}).get("changed", {})


def in_words(parameters: Mapping[str, Any]) -> str:
    """Return "sizes 16, 32; steps 4, 8": the parameters as a reader names them."""
    values = lambda value: ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return "; ".join(f"{name} {values(value) or 'none'}" for name, value in parameters.items())


def stem(name: str, parameters: Mapping[str, Any]) -> str:
    """Return the file's name without its ending: 04_sampling--sizes-16-32; two lists of parameters share none."""
    if not parameters:
        return name
    text = in_words(parameters)
    found = f"{name}--" + re.sub(r"[^\w]+", "-", text.replace(".", "_")).strip("-")
    if re.fullmatch(r"[\w ,.;]*", text) and len(found) <= LONGEST:
        return found
    return f"{found[: LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def chapter_of(stem: str) -> str:
    """Return the notebook that a file of this name was made of."""
    return stem.split("--")[0]


def as_recorded(given: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Return whether a run with these parameters shows the numbers that the chapter's text was written to."""
    return not [name for name in changed(given, known) if name not in CHECKS]


def without_recorded(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook (nbformat, as JSON) without Markdown that is true of the recorded numbers alone."""
    kept = [cell for cell in notebook["cells"] if RECORDED not in cell.get("metadata", {}).get("tags", [])]
    return {**notebook, "cells": kept}


def versions() -> dict[str, str]:
    """Return the version of Python and of each package that requirements.txt pins, as installed here."""
    names = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text("utf-8"), re.M)
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
