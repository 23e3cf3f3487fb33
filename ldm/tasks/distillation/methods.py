"""The methods of distillation by name, and the kinds of student that each trains: how many steps, images and passes.

What is trained in one go is called a *kind*: codi, lcm, guided (stage 1), guided-32 ... (stage 2, each from the one
before), and continued: no student, but the teacher trained on for as many passes, to see what those alone do.
"""

from __future__ import annotations

from typing import Literal, get_args

from ldm.networks.cost import PASSES
from ldm.profile import Profile

Method = Literal["codi", "lcm", "guided", "continued"]
METHODS = get_args(Method)
HALVINGS = (32, 16, 8, 4, 2, 1)  # steps of the students of stage 2; the paper's end at 4


def kinds(method: str) -> tuple[str, ...]:
    """Return what a method trains, one after the other. Raises: ValueError for an unknown method."""
    if method not in METHODS:
        raise ValueError(f"method = {method!r}: expected one of {', '.join(METHODS)}; choose one of them.")
    return (method, *(f"guided-{steps}" for steps in HALVINGS if method == "guided"))


def images_of(profile: Profile, kind: str) -> int:
    """Return how many images a kind is trained on unless told otherwise.

    The stages of guided distillation, of which there are seven, see half of what consistent students do; a teacher
    trained on, as many as cost what those cost (`passes`).
    """
    if kind == "continued":
        return profile.distilled * passes("codi") // passes(kind)
    return profile.distilled // (2 if kind.startswith("guided") else 1)


def steps_of(kind: str) -> int:
    """Return the steps of a student of stage 2, which learns no others; 0 for other kinds."""
    return int(kind.removeprefix("guided-")) if kind.startswith("guided-") else 0


def passes(kind: str) -> int:
    """Return what an image of training costs, in forward passes of the network; a backward pass counts as two.

    A student's own; two of its teacher, which is asked with and without the caption or twice in a row; and, for a
    consistent student, one of its average.
    """
    return PASSES + {"continued": 0, "codi": 3, "lcm": 3}.get(kind, 2)


def takes_guidance(kind: str) -> bool:
    """Return whether a kind, as `kinds` names it, takes the guidance scale as an input."""
    return kind != "continued" and any(kind in kinds(method) for method in METHODS)
