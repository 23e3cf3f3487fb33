"""The files of a `diffusers` part: `config.json` and safetensors, one or several, in torch's layout.

The only place that knows how the files of a part are called. Nothing is ever unpickled: a part that exists
only as .bin, .pt or .ckpt is refused.
"""

from __future__ import annotations

import contextlib
import json
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ldm.files import write_atomic
from ldm.networks import weights
from ldm.networks.structure import Params
from ldm.networks.torch_layout import arrange, to_torch

STEMS = ("diffusion_pytorch_model", "model")  # of diffusers' networks and of transformers'
# What save_pretrained(variant="fp16") writes, in one file or as the index of several; a single one of several is none.
VARIANT = re.compile(rf"(?:{'|'.join(STEMS)})\.(?:(?!.*-of-)([^.]+)\.safetensors|safetensors\.index\.([^.]+)\.json)")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def read_config(path: Path) -> dict[str, Any]:
    """Return a JSON object. Raises: ValueError, one sentence, where there is none or the file is broken."""
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; give a folder that diffusers' save_pretrained wrote.") from None
    except NotADirectoryError:
        raise ValueError(
            f"{path.parent} is a file, not a folder; give a folder that diffusers' save_pretrained wrote."
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file ({error}); copy it again.") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds {type(config).__name__} where a JSON object is expected; copy it again.")
    return config


def quoted(value: object) -> str:
    """Return a value as a message shows it, a long one by its beginning."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 100
    return short.repr(value)


def check_config(path: Path, config: Mapping[str, Any], read: set[str], only: Mapping[str, Any]) -> None:
    """Refuse what our networks do not have, so that no field is silently passed over.

    Args:
        read: fields that the caller uses, or that change nothing here.
        only: fields with the one value that we support; all others must be absent, null or false.
    Raises: ValueError, one sentence, naming the field.
    """
    for name, value in config.items():
        if name.startswith("_") or name in read:
            continue
        expected = only.get(name)
        if value != expected and not (expected is None and value is False):
            raise ValueError(f"{path}: {name} = {quoted(value)} is not supported; expected {expected!r}.")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Raise what goes wrong while a file's fields are read as ValueError with the file's name, in one sentence."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} lacks the field {error}; copy it again.") from None
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from None


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write a config as JSON, its fields in order."""
    write_atomic(path, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())


def read_params(
    folder: Path,
    like: Mapping[str, weights.Shaped],
    *,
    linear: bool = False,
    rename: Callable[[str], str | None] = lambda name: name,
) -> Params:
    """Return the weights of a part, one file or several, in our layout; half precision is widened to float32.

    Args:
        like: names, shapes and dtypes of our network.
        rename: a name in the file -> our name; None for what is no weight of ours.
    Raises: ValueError, one sentence, for missing, pickled, truncated or foreign files, and for a tensor
        that is missing, not expected or of another shape (both shapes are named, in torch's layout).
    """
    tensors, path = read_tensors(folder)
    return arrange(path, tensors, like, linear=linear, rename=rename)


def read_tensors(folder: Path) -> tuple[dict[str, np.ndarray], Path]:
    """Return the tensors of a part as they lie there, half precision widened to float32, and the file that names them.

    Raises: ValueError, one sentence, for missing, pickled, truncated or foreign files.
    """
    path = _find(folder)
    return _load(path), path


def write_params(
    folder: Path,
    params: Params,
    *,
    stem: str = STEMS[0],
    linear: bool = False,
    prefix: str = "",
) -> None:
    """Write one safetensors file, `folder`/`stem`.safetensors, in torch's layout and the dtypes of `params`."""
    tensors = {prefix + name: to_torch(name, np.asarray(array), linear) for name, array in params.items()}
    weights.save(folder / f"{stem}.safetensors", tensors, {"format": "pt"})


def _find(folder: Path) -> Path:
    """Return the part's safetensors file, or the index of several; a variant (fp16) where it is all there is."""
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for stem in STEMS:
        for name in (f"{stem}.safetensors", f"{stem}.safetensors.index.json"):
            if name in found:
                return folder / name
    variants = {match[1] or match[2]: name for name in reversed(found) if (match := VARIANT.fullmatch(name))}
    if len(variants) == 1:
        return folder / next(iter(variants.values()))
    if variants:
        raise ValueError(f"{folder} holds the variants {', '.join(sorted(variants))}: expected one; keep that alone.")
    if pickled := [name for name in found if name.endswith(PICKLES)]:
        raise ValueError(
            f"{folder / pickled[0]} is a pickle, which may run any code when opened, and there is no safetensors "
            "file beside it; convert it to safetensors where you trust it."
        )
    raise ValueError(
        f"{folder} holds no {STEMS[0]}.safetensors and no {STEMS[1]}.safetensors"
        f"{', only ' + ', '.join(found[:5]) if found else ''}; copy the folder again."
    )


def _load(path: Path) -> dict[str, np.ndarray]:
    if path.suffix != ".json":
        return weights.load(path, half_to_float32=True)
    index = read_config(path).get("weight_map")
    if not isinstance(index, dict) or not all(isinstance(n, str) and Path(n).name == n for n in index.values()):
        raise ValueError(f"{path} has no weight_map from tensors to files beside it; copy it again.")
    tensors: dict[str, np.ndarray] = {}
    for name in sorted(set(index.values())):
        tensors |= weights.load(path.parent / name, half_to_float32=True)
    if lost := sorted(index.keys() - tensors.keys()):
        raise ValueError(f"{path} promises {lost[0]!r} in {index[lost[0]]}, which lacks it; copy the folder again.")
    return tensors
