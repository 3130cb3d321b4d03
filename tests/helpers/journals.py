"""The journals of run folders, read without the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TIMES = ("at", "again")


def events(folder: Path, name: str = "history") -> list[dict[str, Any]]:
    """Return the events of a journal."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[1:]]


def untimed(folder: Path, name: str = "history") -> list[dict[str, Any]]:
    """Return the lines of a journal, its header first, without the times that differ in another run."""
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]
