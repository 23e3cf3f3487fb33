"""Files that are either whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def disk_full_in_words(path: Path) -> Iterator[None]:
    """Turn "no space left on device" into one sentence that says what to do.

    Raises: OSError with errno ENOSPC (also for a quota) in place of the system's own.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = (
            f"The disk is full: {path} could not be written; free some space and run the same "
            "command again, nothing that was finished is lost."
        )
        raise OSError(error.errno, message) from error


def write_atomic(path: str | Path, data: bytes) -> Path:
    """Write `data` to `path` so that a reader, or a kill at any moment, sees all of it or nothing.

    Raises: OSError, in one sentence where the disk is full; `path` is then as it was before.
    """
    path = Path(path)
    with disk_full_in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".tmp", dir=path.parent
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide committed results from others
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_folder(path.parent)
    return path


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; file systems that cannot sync a folder are left alone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
