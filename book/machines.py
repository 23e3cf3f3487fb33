"""What programs read of the built book: `findings.json`, its schema, and `llms.txt`, all at the site's root.

The findings are those that the page of verdicts recorded as it ran (`ldm.study.findings_index`), so the file says what
the page says. The words about the chapters are the chapters' own.
"""

from __future__ import annotations

import json
import re
from typing import Any

import figures

FINDINGS = "findings"  # the name under which notebooks/12_verdicts.py records them
VERDICTS = "notebooks/12_verdicts"
PAPER = "https://arxiv.org/abs/2404.01367"
LONGEST = 300  # characters of a line about a chapter
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "The findings of this book",
    "description": "Each finding of the paper, asked of recorded rows in one question or two, by several metrics.",
    "type": "object",
    "required": ["version", "study", "paper", "profile", "page", "findings"],
    "properties": {
        "version": {"const": 1, "description": "of this schema; raised when a field changes its meaning"},
        "study": {"type": "string"},
        "paper": {"type": "string", "format": "uri"},
        "profile": {"type": "string", "description": "whose rows were asked: the scale of the study"},
        "page": {"type": "string", "description": "the verdicts for readers; paths are relative to this file"},
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["finding", "claim", "question", "chapter", "profile", "rows", "answers"],
                "properties": {
                    "finding": {"type": "string", "pattern": "^F[1-6]$"},
                    "claim": {"type": "string", "description": "what the paper says, in words"},
                    "question": {"type": "string", "description": "which of a finding's two, or empty"},
                    "chapter": {"type": "string", "description": "path and place of the verdict in its chapter"},
                    "profile": {"type": "string"},
                    "rows": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "CSV files that hold the rows asked",
                    },
                    "answers": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["metric", "verdict", "effect", "value", "interval", "n", "seeds", "protocols"],
                            "properties": {
                                "metric": {"type": "string"},
                                "verdict": {"enum": ["holds", "fails", "undecided"]},
                                "effect": {"type": "string", "description": "what the value is, and its unit"},
                                "value": {"type": "number"},
                                "interval": {
                                    "type": "array",
                                    "items": {"type": "number"},
                                    "minItems": 2,
                                    "maxItems": 2,
                                    "description": "95 % over pictures, and over trainings where there are several",
                                },
                                "n": {"type": "integer", "description": "pictures a point"},
                                "seeds": {
                                    "type": "array",
                                    "items": {"type": "integer"},
                                    "description": "of the trainings asked",
                                },
                                "asked": {"type": "string", "description": "of which models and settings"},
                                "detail": {"type": "string"},
                                "protocols": {
                                    "type": "array",
                                    "items": {"type": "string"},
                                    "description": "how each row was measured, as the column `protocol` has it",
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def findings(executed: str, study: str) -> dict[str, Any]:
    """Return the content of findings.json, from the executed notebook of the verdicts; paths are the site's.

    Raises: ValueError where the notebook has recorded none, as one that was run before it did so.
    """
    from ldm.figures.record import recorded_in

    found = recorded_in(json.loads(executed))
    if FINDINGS not in found:
        raise ValueError(f"{VERDICTS}.ipynb has recorded no findings; run it again: make notebook N=12_verdicts.")
    recorded = found[FINDINGS]
    entry_of = SCHEMA["properties"]["findings"]["items"]
    answer_of = entry_of["properties"]["answers"]["items"]
    entries = []
    for entry in recorded["findings"]:
        rows, chapter = [f"_static/rows/{name}" for name in entry["rows"]], f"notebooks/{entry['chapter']}"
        answers = [in_order(answer, answer_of) for answer in entry["answers"]]
        entries.append(in_order({**entry, "chapter": chapter, "rows": rows, "answers": answers}, entry_of))
    about = {"version": 1, "study": study, "paper": PAPER, "profile": recorded["profile"], "page": f"{VERDICTS}.html"}
    return {"$schema": "findings.schema.json", **about, "findings": entries}


def in_order(entry: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with its fields in the order of the schema: a notebook keeps them by the alphabet."""
    return {name: entry[name] for name in schema["properties"] if name in entry}


def about(markdown: str) -> tuple[str, str]:
    """Return the title of a page and a line of what it is about: its question, or how it begins."""
    title = re.search(r"^# (.+)$", markdown, re.M)
    paragraphs = [" ".join(part.split()) for part in markdown.split("\n\n")]
    asked = next((part for part in paragraphs if part.startswith("**The question.**")), "")
    prose = [part for part in paragraphs if part and not re.match(r"[#<`:*!|(-]", part)]
    text = asked.removeprefix("**The question.**") or (prose[0] if prose else "")
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text).strip().replace("**", "")
    text = re.sub(r"\{cite\}`mei2024bigger`", "the paper", text)
    while len(text) > LONGEST and ". " in text:
        text = text.rsplit(". ", 1)[0] + "."
    return (figures.heading(title[0]) if title else ""), text


def llms(title: str, pages: list[tuple[str, str]], rows: list[str]) -> str:
    """Return llms.txt: what the study is, its chapters with a line each, and where its data lie.

    `pages`: (path without ending, Markdown) in the book's order, the first page first. `rows`: names of CSV files.
    """
    (_, first), *others = pages
    lines = [
        f"# {title}",
        "",
        f"> {about(first)[1]}",
        "",
        f"The paper: {PAPER}. Every number has its 95 % interval.",
        "",
    ]
    lines += ["## Data", ""]
    lines += [
        "- [findings.json](findings.json): each finding's claim, verdict by metric, value, interval, n, seeds and"
        " protocol; described by [its schema](findings.schema.json)",
        "- [Where the numbers come from](book/provenance.html): how rows are made, and every file of them",
        *(f"- [{name}](_static/rows/{name}): rows, one metric value a line" for name in rows),
        "",
        "## Chapters",
        "",
        f"- [{about(first)[0]}]({pages[0][0]}.html): the answer, on one page",
    ]
    for path, text in others:
        name, line = about(text)
        more = f" ([notebook]({path}.ipynb))" if path.startswith("notebooks/") else ""
        lines.append(f"- [{name}]({path}.html): {line}{more}")
    return "\n".join(lines) + "\n"


def files(verdicts: str, title: str, pages: list[tuple[str, str]], rows: list[str]) -> dict[str, str]:
    """Return the files of this kind by name. `verdicts`: the executed notebook of the verdicts, or "" without one."""
    found = {"llms.txt": llms(title, pages, rows), "findings.schema.json": json.dumps(SCHEMA, indent=1) + "\n"}
    if verdicts:
        found["findings.json"] = json.dumps(findings(verdicts, title), indent=1, ensure_ascii=False) + "\n"
    return found
