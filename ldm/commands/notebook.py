"""Notebooks as functions: check the parameters, run, keep the result whole or not at all.

A notebook is `notebooks/NAME.py` (py:percent) with one cell tagged `parameters`. `execute` runs it
by papermill into an .ipynb; `record` marks, inside a notebook, the numbers that must not change. `variants` names
what was run with other parameters.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldm.commands import variants
from ldm.files import check_out
from ldm.paths import ROOT

if TYPE_CHECKING:
    from traitlets.config import Config

NOTEBOOKS = ROOT / "notebooks"
LAST = "from ldm.figures.record import record_cells\n\nrecord_cells()"  # the cell that every run ends with
EXPECTED = {bool: "true or false", int: "a whole number", float: "a number"}


class NotebookFailed(RuntimeError):
    """A cell raised; the message names notebook, cell and error, and where the rest was kept."""


def execute(
    name: str,
    out: Path | str,
    parameters: Mapping[str, Any] | None = None,
    profile: str | None = None,
    *,
    folder: Path | str = NOTEBOOKS,
) -> Path:
    """Run `folder/name.py` with these parameters and write the executed notebook to `out`; returns where it lies.

    `out` is a file, or a folder: there the notebook is named by what was changed, so that a chapter and what was run
    with other parameters lie side by side. Markdown tagged `recorded` is left out where the parameters are not those
    that it was written to, and recorded cells are recomputed only where that is asked for.
    Parameters given as text ("4,8,16") are read as the type of the notebook's own default; an
    unknown name or an unreadable value raises `ValueError` before anything runs. `profile` is the
    parameter of that name. A notebook that fails raises `NotebookFailed`, leaves `out` as it was
    and its cells so far beside it, in `NAME.failed.ipynb`.
    """
    import papermill

    folder, out = Path(folder), Path(out)
    given = {**({} if profile is None else {"profile": profile}), **(parameters or {})}
    with contextlib.ExitStack() as scratch:
        source = Path(scratch.enter_context(tempfile.TemporaryDirectory(prefix="ldm-")), "source.ipynb")
        source.write_text(to_ipynb(folder / f"{name}.py"), "utf-8")
        known = defaults(source)
        values = typed(given, known, where=name)
        changed = variants.changed(values, known, profile)
        if changed and "recompute" in known:
            values.setdefault("recompute", 0)
        source.write_text(prepared(source.read_text("utf-8"), changed, variants.as_recorded(values, known)), "utf-8")
        if not out.suffix or out.is_dir():
            out = out / f"{variants.stem(name, changed)}.ipynb"
        check_out(out, [".ipynb"], make=True)
        beside = tempfile.TemporaryDirectory(prefix=".ldm-", dir=out.parent)  # a rename is within one file system
        result = Path(scratch.enter_context(beside), "result.ipynb")
        print(
            f"{name}: {', '.join(f'{k} = {v!r}' for k, v in values.items()) or 'as it stands'}",
            file=sys.stderr,
            flush=True,
        )
        try:
            with _unattended() as kernel:
                papermill.execute_notebook(
                    str(source),
                    str(result),
                    values,
                    kernel_name="python3",
                    cwd=str(folder),
                    progress_bar=True,
                    stderr_file=sys.stderr,
                    config=kernel,
                )
        except papermill.PapermillExecutionError as error:
            failed = out.with_suffix(".failed.ipynb")
            os.replace(result, failed)
            raise NotebookFailed(
                f"{name} stopped in cell {error.exec_count}: {error.ename}: {error.evalue} (its cells so far: {failed})"
            ) from None
        os.replace(result, out)
    out.with_suffix(".failed.ipynb").unlink(missing_ok=True)
    return out


def to_ipynb(source: Path) -> str:
    """Return the .ipynb text of a py:percent notebook, without outputs, for the kernel `python3`."""
    import jupytext

    if not source.is_file():
        known = ", ".join(sorted(path.stem for path in source.parent.glob("*.py"))) or "none"
        raise ValueError(f"there is no notebook {source.stem!r} in {source.parent}; known: {known}.")
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    return jupytext.writes(notebook, fmt="ipynb")


def prepared(notebook: str, changed: Mapping[str, Any], as_recorded: bool) -> str:
    """Return the .ipynb text with what a run adds: what was changed, the versions, and a count of cells at the end."""
    content = json.loads(notebook)
    if not as_recorded:
        content = variants.without_recorded(content)
    content["metadata"]["ldm"] = {"changed": dict(changed), "versions": variants.versions()}
    last = {"cell_type": "code", "metadata": {"tags": ["remove-cell"]}, "source": LAST, "outputs": []}
    if content["nbformat_minor"] >= 5:
        last["id"] = "cells"
    content["cells"].append({**last, "execution_count": None})
    return json.dumps(content)


def defaults(notebook: Path) -> dict[str, Any]:
    """Return the name and default value of every parameter in the `parameters` cell of an .ipynb."""
    import papermill

    found = papermill.inspect_notebook(str(notebook))
    return {name: ast.literal_eval(entry["default"]) for name, entry in found.items()}


def typed(given: Mapping[str, Any], known: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return the given parameters with text read as the default's type; `ValueError` in one sentence."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"{where} has no parameter {name!r}{hint}; it has: {', '.join(known)}.")
    return {name: parse(value, known[name], name) if isinstance(value, str) else value for name, value in given.items()}


def parse(text: str, like: Any, name: str = "value") -> Any:
    """Read command-line text as the type of `like`: 'a', '3', '1e-3', 'true', '4,8,16'."""
    if isinstance(like, list | tuple):
        items = [item.strip() for item in text.strip("[]() ").split(",") if item.strip()]
        # An empty default says nothing of its items: they are numbers, whole where they look so.
        likes = [like[0] if like else 0 if item.isdigit() else 0.0 for item in items]
        try:
            return [_read(item, one) for item, one in zip(items, likes, strict=True)]
        except (ValueError, KeyError):
            expected = EXPECTED[type(like[0]) if like else float]
            example = ",".join(map(str, like)) or "4,8"
            raise ValueError(
                f"parameter {name!r} is {text!r}, expected {expected}, or several with commas between them,"
                f" like {example}."
            ) from None
    try:
        return _read(text, like)
    except (ValueError, KeyError):
        raise ValueError(f"parameter {name!r} is {text!r}, expected {EXPECTED[type(like)]}, like {like!r}.") from None


def _read(text: str, like: Any) -> Any:
    """Return one value of the type of `like`. Raises: ValueError or KeyError, without a word."""
    if isinstance(like, bool):
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.strip().lower()]
    if isinstance(like, int):
        return int(text)
    if isinstance(like, float):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    if like is None and text.strip().lower() == "none":
        return None
    return text


def pairs(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return names and values as a dict. Raises: ValueError for a name that is given twice: one value would be lost."""
    found: dict[str, str] = {}
    for name, value in given:
        if name in found:
            raise ValueError(
                f"parameter {name!r} is given twice, as {found[name]!r} and {value!r}; give it once, a list with commas"
                f" between its values: -p {name} {found[name]},{value}."
            )
        found[name] = value
    return found


@contextlib.contextmanager
def _unattended() -> Iterator[Config]:
    """Set the kernel's environment, and say how to start it: nobody looks on, `import ldm` finds this repository.

    What Jupyter and IPython keep at home is neither read nor written: a start-up file that prints is another notebook's
    business, and a container's home may be missing or read-only.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="ldm-") as home:
        own = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
        os.environ |= {name: str(Path(home, name.lower())) for name in own} | {"LDM_UNATTENDED": "1"}
        os.environ.pop("PYTHONSTARTUP", None)
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [before.get("PYTHONPATH")])])
        try:
            yield _connection(Path(home))
        finally:
            os.environ.clear()
            os.environ.update(before)


def _connection(folder: Path) -> Config:
    """Return how a kernel is spoken to: through sockets that are files, else through ports.

    Others can neither read such files nor be given them by chance, as happens to ports. Ports serve where the folder's
    name is too long for a socket's (107 bytes, 103 on a Mac).
    """
    from traitlets.config import Config

    file = folder / "kernel.json"
    transport = "ipc" if len(os.fsencode(file)) < 96 else "tcp"
    return Config(KernelManager={"transport": transport, "connection_file": str(file)})
