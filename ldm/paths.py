"""Where things lie: the repository, its art and weights, and what this machine computed."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ART = ROOT / "art"
WEIGHTS = ROOT / "weights"  # shipped
RUNS = ROOT / "runs"  # made by this machine
