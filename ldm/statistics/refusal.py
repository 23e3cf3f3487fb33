"""What a question says to rows that cannot answer it."""

from __future__ import annotations


class NotAsked(ValueError):
    """Rows cannot answer: of too few sizes, lengths, step counts or ways. The message says what to run.

    Rows that may not be compared at all, such as of different protocols, are a plain ValueError: a page shows the first
    in place of an answer, and stops at the second.
    """
