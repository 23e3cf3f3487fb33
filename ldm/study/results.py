"""The store that keeps rows of results: one Parquet part a cell, whole or absent.

A *cell* (one training run, one evaluation) is named by the hash of everything that determines its
result (`ldm.hashing.key`), and leaves a few `ldm.study.rows.Row`s and files. Two places hold rows: `results/*.parquet`,
committed with the repository, and `runs/rows/<key>.parquet`, what this machine computed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ldm.files import hold, write_atomic
from ldm.study import influences
from ldm.study.rows import COLUMNS, SCHEMA, Row

IDENTITY = ["key", "metric", "protocol"]  # one row each, however often it was written
ORDER = [  # `created` before `key`: a key can be a hash of the machine's name, which tells a reader nothing
    "task",
    "strength",
    "c",
    "seed",
    "train_steps",
    "sampler",
    "steps",
    "guidance",
    "level",
    "lever",
    "dose",
    "n",
    "metric",
    "protocol",
    "created",
    "key",
]


Contents = tuple[pa.Table, frozenset[str]]  # a file's rows, and the keys among them


class Store:
    """The rows and files of all cells under one folder; safe with several processes and kills.

    `root/runs/rows/<key>.parquet` is the commit mark of a cell: it is written last, in one rename,
    so a cell without it does not exist, whatever else lies about. A part that cannot be read (torn,
    a flipped byte) is named in a warning and counts as absent, so the cell runs again; a committed
    file that cannot be read is an error, since nobody should recompute hours unasked.
    """

    def __init__(self, root: str | Path = ".") -> None:
        self.root = Path(root)
        self.recorded = self.root / "results"
        self.runs = self.root / "runs"
        self._read_before: dict[Path, tuple[tuple[int, int], Contents]] = {}

    def has(self, key: str, *, only: Literal["recorded", "runs"] | None = None) -> bool:
        """Return whether the cell's rows are here; `only` asks for one of the two places."""
        if only != "recorded" and self._read_part(self._part(key)) is not None:
            return True
        return only != "runs" and any(key in keys for _, keys in self._read_recorded())

    def write(self, key: str, rows: Iterable[Row], files: Mapping[str, bytes] | None = None) -> None:
        """Record a cell: its files, then its rows, which make it exist. Fills in `Row.key`.

        Raises: ValueError for no rows, two rows of one metric and protocol, or rows of another
        cell; OSError in one sentence where the disk is full.
        """
        rows = [dataclasses.replace(row, key=row.key or key) for row in rows]
        if not rows:
            raise ValueError(f"cell {key} has no rows; a finished cell leaves at least one.")
        if any(row.key != key for row in rows):
            raise ValueError(f"cell {key} was given rows of another; write each by its own key.")
        names = [(row.metric, row.protocol) for row in rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"cell {key} has two rows of {twice[0]}; give each its own protocol.")
        for name, data in (files or {}).items():
            if Path(name).name != name:
                raise ValueError(f"{name!r} is no plain file name; a cell's files share a folder.")
            write_atomic(self.runs / "files" / key / name, data)
        table = pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], SCHEMA)
        write_atomic(self._part(key), _parquet(table))

    def file(self, key: str, name: str) -> Path | None:
        """Return where a cell's file lies, this machine's before the committed one; None if nowhere."""
        places = (self.runs / "files" / key / name, self.recorded / "files" / key / name)
        return next((path for path in places if path.is_file()), None)

    def influences(self, rows: pd.DataFrame, metric: str) -> dict[str, np.ndarray]:
        """Return cell -> each picture's influence on the metric (n,), of all cells of the rows, or of none.

        They are as the cell's evaluator gave them, up to a constant: who uses them subtracts their mean. Not every
        metric's are kept; where a cell has kept others alone there are none, since a part of them pairs nothing.
        Raises: ValueError where some cells have kept them and the file of another is missing, or one is damaged.
        """
        paths = {cell: self.file(cell, influences.FILE) for cell in rows["key"].unique()}
        stored = {cell: influences.unpack(path) for cell, path in paths.items() if path}
        found = {cell: parts[metric] for cell, parts in stored.items() if metric in parts}
        lacking = [cell for cell, path in paths.items() if not path]
        if found and lacking:
            raise ValueError(
                f"{len(lacking)} of {len(paths)} cells, {lacking[0]} first, have no influences beside their rows:"
                " restore results/files."
            )
        return found if len(found) == len(paths) else {}

    def rows(self, *, only: Literal["recorded", "runs"] | None = None, **where: Any) -> pd.DataFrame:
        """Return all rows, each once, as a table with the columns of `Row`, in a stable order.

        `where` keeps the rows whose column equals a value, or is one of a list of values:
        `rows(study="sampling", c=[8, 16])`; None is a missing value. Where both places hold a cell,
        this machine's rows count. Integer columns may hold missing values (pandas' Int64).
        Raises: ValueError for an unknown column or a damaged committed file.
        """
        unknown = sorted(set(where) - set(COLUMNS))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no column of a row; there are {', '.join(COLUMNS)}.")
        recorded = [] if only == "runs" else list(self._read_recorded())
        paths = [] if only == "recorded" else sorted((self.runs / "rows").glob("*.parquet"))
        parts = [contents for path in paths if (contents := self._read_part(path))]
        here = pa.array(sorted({key for _, keys in parts for key in keys}), pa.string())
        tables = [table.filter(~pc.field("key").isin(here)) for table, _ in recorded]
        table = pa.concat_tables([SCHEMA.empty_table(), *tables, *(table for table, _ in parts)])
        frame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get, use_threads=False)
        frame = frame.drop_duplicates(IDENTITY, keep="last")
        for column, wanted in where.items():
            many = isinstance(wanted, list | tuple | set | np.ndarray)
            values = list(wanted) if many else [wanted]
            kept = frame[column].isin([value for value in values if value is not None])
            frame = frame[kept | frame[column].isna()] if None in values else frame[kept]
        return frame.sort_values(["study", "profile", *ORDER], ignore_index=True)

    def compact(self) -> list[Path]:
        """Merge all rows into `results/<study>-<profile>.parquet`, after the cells' files are copied.

        The parts under `runs/` stay, so a kill in between loses nothing; running it again changes
        nothing. No row is recorded before its files are. Returns the paths of the Parquet files, the ones to commit.
        """
        rows, written = self.rows(), []  # a cell that another process writes from here on is the next call's
        for part in sorted((self.runs / "rows").glob("*.parquet")):
            for source in sorted((self.runs / "files" / part.stem).glob("[!.]*")):
                write_atomic(self.recorded / "files" / part.stem / source.name, source.read_bytes())
        for (study, profile), group in rows.groupby(["study", "profile"]):
            table = pa.Table.from_pandas(group, SCHEMA, preserve_index=False, nthreads=1)
            path = self.recorded / f"{study}-{profile}.parquet"
            written.append(write_atomic(path, _parquet(table.replace_schema_metadata(None))))
        return written

    def lock(self, key: str) -> contextlib.AbstractContextManager[None]:
        """Hold a cell while it runs, so that a second process waits instead of doubling it.

        Ask `has(key)` again inside.
        """
        return hold(self.runs / "locks" / key)

    def _part(self, key: str) -> Path:
        return self.runs / "rows" / f"{key}.parquet"

    def _read_part(self, path: Path) -> Contents | None:
        try:
            return self._read(path)
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError, KeyError) as error:
            warnings.warn(
                f"{path} is damaged ({_first_line(error)}); it is ignored and its cell runs again.",
                stacklevel=3,
            )
            return None

    def _read_recorded(self) -> Iterator[Contents]:
        for path in sorted(self.recorded.glob("*.parquet")):
            try:
                yield self._read(path)
            except (pa.ArrowException, OSError, KeyError) as error:
                raise ValueError(
                    f"{path} is damaged ({_first_line(error)}); restore it: git checkout {str(path)!r}"
                ) from error

    def _read(self, path: Path) -> Contents:
        """Return the file's rows and keys; read again only when the file has changed."""
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if path not in self._read_before or self._read_before[path][0] != stamp:
            # Not pq.read_table: its threads now and then abort a short process at its exit.
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = _conform(file.read(use_threads=False))
            self._read_before[path] = (stamp, (table, frozenset(table["key"].to_pylist())))
        return self._read_before[path][1]


def _conform(table: pa.Table) -> pa.Table:
    """Return today's columns, in order: one that an older file lacks is missing there (None)."""
    if lacking := [column for column in IDENTITY if column not in table.column_names]:
        raise KeyError(f"no column {lacking[0]}")
    columns: Sequence[Any] = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


def _parquet(table: pa.Table) -> bytes:
    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
