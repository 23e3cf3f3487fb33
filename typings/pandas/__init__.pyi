"""Frames and series are not looked into: pandas' own annotations have `frame[mask]` a frame, a series or unknown."""

from typing import Any

class DataFrame(Any):
    def __eq__(self, other: object) -> Any: ...  # row by row
    def __ne__(self, other: object) -> Any: ...

class Series(Any):
    def __eq__(self, other: object) -> Any: ...  # row by row
    def __ne__(self, other: object) -> Any: ...

def __getattr__(name: str) -> Any: ...
