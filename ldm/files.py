"""Files that are either whole or absent (written under a temporary name, then renamed), locks, and a user's paths."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

CAUSES = {  # of a disk that does not take a file: what is wrong, and what to do
    errno.ENOSPC: ("The disk is full", "free some space"),
    errno.EDQUOT: ("Your share of the disk is used up", "free some space"),
    errno.EROFS: ("The disk is read-only", "make it writable"),
}


def refused(path: Path, error: Exception) -> OSError | None:
    """Return the error to raise where a disk did not take `path`: one sentence that says what to do.

    None for an error that is none of a disk's `CAUSES`.

    Libraries wrap an error of the system in others, and leave of it what it says.
    """
    caused_by = lambda code: getattr(error, "errno", None) == code or os.strerror(code) in str(error)
    code = next(filter(caused_by, CAUSES), None)
    return None if code is None else _refusal(path, code)


def full(path: Path) -> OSError:
    """Return the error to raise where a disk has no room for `path`: one sentence that says what to do."""
    return _refusal(path, errno.ENOSPC)


def _refusal(path: Path, code: int) -> OSError:
    what, mend = CAUSES[code]
    return OSError(
        code,
        f"{what}: {path} could not be written; {mend} and run the same command again, nothing that was finished is"
        " lost.",
    )


def check_folder(path: str | Path, what: str) -> None:
    """Raise ValueError, one sentence, where there is no folder; `what` it should be ("one of pictures")."""
    if not Path(path).is_dir():
        found = "is a file, not a folder" if Path(path).exists() else "no such folder"
        raise ValueError(f"{path}: {found}; give {what}.")


def check_file(path: str | Path, what: str) -> None:
    """Raise ValueError, one sentence, where there is no file; `what` it should be ("a picture")."""
    if not Path(path).is_file():
        found = "is a folder" if Path(path).is_dir() else "does not exist"
        raise ValueError(f"{path} {found}; give the path of {what}.")


def check_out(path: str | Path, endings: Sequence[str], *, make: bool = False) -> None:
    """Raise ValueError, one sentence, before any work, where no file with one of these endings can be written.

    make: its folder, where there is none.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"out = {path}: this is a folder; give the path of a file in it.")
    if path.suffix.lower() not in endings:
        raise ValueError(f"out = {path}: expected a name that ends in {' or '.join(endings)}; choose such a one.")
    if make:
        with contextlib.suppress(FileExistsError, NotADirectoryError):  # said below, in a sentence
            path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.is_dir():
        found = "is a file" if path.parent.exists() else "does not exist"
        raise ValueError(f"out = {path}: the folder {path.parent} {found}; make it, or choose another.")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"out = {path}: you may not write to the folder {path.parent}; choose another.")


def write_atomic(path: str | Path, data: bytes) -> Path:
    """Write `data` to `path` so that a reader, or a kill at any moment, sees all of it or nothing.

    Raises: OSError, in one sentence where the disk is full or read-only; `path` is then as it was before.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_and_rename(path, data)
    except OSError as error:
        if refusal := refused(path, error):
            raise refusal from error
        raise
    return path


@contextlib.contextmanager
def hold(path: str | Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path`; a second process waits, or is refused where it should not `wait`.

    The kernel frees the lock when its holder dies, however. Raises: RuntimeError, in one sentence.
    """
    import fcntl  # not where a reader's browser runs this file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise RuntimeError(
                f"{path} is held by another process that works on the same; wait until it ends, or stop it."
            ) from None
        yield


def _write_and_rename(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's 0600 would hide committed results from others
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; file systems that cannot sync a folder are left alone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
