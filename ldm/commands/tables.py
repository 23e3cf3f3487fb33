"""Tables that commands print, and the JSON and CSV files that they write of them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ldm.files import check_out, write_atomic


def check(out: Sequence[Path]) -> None:
    """Raise ValueError, one sentence, before any work, for a file that cannot be written."""
    for path in out:
        check_out(path, [".json", ".csv"])


def printed(rows: list[dict[str, Any]]) -> str:
    """Return a table for people."""
    import pandas as pd

    return pd.DataFrame(rows).to_string(index=False, float_format="{:.4g}".format)


def write(out: Sequence[Path], records: list[dict[str, Any]], about: dict[str, Any]) -> None:
    """Write records as CSV, and as JSON with what they are about."""
    import pandas as pd

    for path in out:
        if path.suffix == ".json":
            text = json.dumps(about | {"scores": records}, indent=1)
        else:
            file = io.StringIO()
            pd.DataFrame(records).to_csv(file, index=False)
            text = file.getvalue()
        write_atomic(path, (text.rstrip() + "\n").encode())
        print(path)
