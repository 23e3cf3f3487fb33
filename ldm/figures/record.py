"""Values that an executed notebook keeps for others to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = "application/vnd.ldm.results+json"


def record(name: str, value: Any) -> None:
    """Store a number (or an Estimate) in the notebook's output, where nbval compares it strictly.

    Floats keep 6 significant digits, so that the last bits of another machine are not a change.
    """
    from IPython.display import display

    display({RESULTS: {name: _plain(value)}}, raw=True)


def recorded(notebook: Path | str) -> dict[str, Any]:
    """Return everything that `record` left in an executed notebook."""
    import nbformat

    found: dict[str, Any] = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            found |= output.get("data", {}).get(RESULTS, {})
    return found


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
