"""`pytest -p tests.without`: as where the references and the browser are not installed; `make check` runs so."""

from __future__ import annotations

from importlib.machinery import PathFinder

MISSING = ("torch", "diffusers", "transformers", "onnxruntime", "efficientnet_lite_pytorch", "playwright")
find = PathFinder.find_spec


def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in MISSING else find(name, path, target)


PathFinder.find_spec = find_spec
