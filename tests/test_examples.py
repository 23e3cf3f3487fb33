"""The page of examples runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "book/examples.md"


def test_every_block_of_the_page_of_examples_runs_one_after_the_other():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    scope: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), scope)


def test_the_pages_about_the_tool_ask_for_options_that_there_are():
    """Every word after a command of ours is one of its parameters."""
    import inspect

    from ldm.__main__ import COMMANDS

    known = {command.__name__: command for command in COMMANDS}
    for name in ("tool.md", "coming-from.md", "reporting.md"):
        text = (PAGE.parent / name).read_text()
        asked = re.findall(r"python -m ldm (\w+)([^`\n#]*)", text)
        assert asked or name == "reporting.md"
        for command, rest in asked:
            options = {word.replace("-", "_") for word in re.findall(r"--([\w-]+)", rest)}
            assert options <= set(inspect.signature(known[command]).parameters), (command, rest)
