"""The command line: `python -m ldm COMMAND --help`. Thin: each command is one call into the package."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from collections.abc import Iterator

import tyro

from ldm.commands.draw import draw
from ldm.commands.export import export
from ldm.commands.finetune import distill, superres
from ldm.commands.nearness import nearness
from ldm.commands.pictures import gallery, upscale
from ldm.commands.score import compare, score
from ldm.commands.study import browser, compact, dreambooth, grid, notebook, plan, race
from ldm.commands.train import average, part, pretrain, shards, together

COMMANDS = (
    notebook,
    pretrain,
    together,
    average,
    shards,
    superres,
    distill,
    dreambooth,
    part,
    grid,
    race,
    score,
    compare,
    nearness,
    draw,
    export,
    upscale,
    gallery,
    browser,
    plan,
    compact,
)
REPEATED = ("--p",)  # an option that is meant to be given as often as one likes


def call(words: list[str] | None = None) -> None:
    """Do what the words ask for; without any, what was typed."""
    words = once(sys.argv[1:] if words is None else words)
    commands = {command.__name__.replace("_", "-"): command for command in COMMANDS}
    tyro.extras.subcommand_cli_from_dict(commands, args=words, prog="python -m ldm")


def once(words: list[str]) -> list[str]:
    """Return the words. Raises: ValueError for an option that is given twice, of which one would be lost."""
    options = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    for option in options:
        if options.count(option) > 1 and option not in REPEATED:
            raise ValueError(
                f"{option} is given twice; give it once, its values one after another if there are several."
            )
    return words


@contextlib.contextmanager
def report() -> Iterator[None]:
    """Turn what a user can mend into one sentence and an exit status, in place of a traceback."""
    if (
        isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8"
    ):  # a terminal that has no bullet gets a question mark
        sys.stdout.reconfigure(errors="replace")
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        print("Interrupted; run the same command again to go on from what was kept.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def main() -> None:
    """Do what was typed, and exit with a sentence where it cannot be done."""
    with report():
        call()


if __name__ == "__main__":
    main()
