"""The head of a summary: the run's name, provenance, settings and state."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from nas.history import read_objective
from nas.records import to_plain
from nas.report.summary.clock import Clock
from nas.report.summary.summary import Head

Kind = Literal["search", "training", "transfer"]


def provenance_of(file: Path) -> dict[str, str]:
    """Return the comments at the top of a run folder's YAML by key: command, started, versions, hardware.

    Values of a repeated key are joined with "; ".
    """
    found: dict[str, str] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        key, _, value = line.removeprefix("#").strip().partition(": ")
        found[key] = f"{found[key]}; {value}" if key in found else value
    return found


def begin_head(kind: Kind, file: Path, objective: str | Sequence[str], seed: int, clock: Clock) -> Head:
    """Return the part of the head that all kinds of runs share: provenance, first and last date; `file` is the run's YAML."""
    found, folder = provenance_of(file), file.parent
    name, sign = read_objective(objective)
    return Head(
        kind=kind,
        name=Path(os.path.realpath(folder)).name,
        folder=str(folder),
        objective=name,
        minimises=sign < 0,
        seed=seed,
        started=found.get("started", date(clock.begin)),
        last=date(clock.last),
        command=found.get("command", ""),
        versions=found.get("versions", ""),
        hardware=found.get("hardware", ""),
        settings=format_settings({"resumed with": found.get("resumed with", "")}),
    )


def named(part: object) -> str:
    """Return a record in words: its name, and its plain settings that are not defaults."""
    if part is None:
        return ""
    ((name, settings),) = to_plain(part).items()
    plain = [f"{key} {value}" for key, value in settings.items() if not isinstance(value, Mapping | list)]
    return f"{name} ({', '.join(plain)})" if plain else str(name)


def format_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings whose text is not empty."""
    return {name: text for name, text in settings.items() if text}


def format_options(value: object) -> str:
    """Return plain options in words: `channels 16, layers 8`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {format_options(each)}" for key, each in value.items())
    return " ".join(map(format_options, value)) if isinstance(value, tuple | list) else str(value)


def date(at: float) -> str:
    """Return a Unix time as a local date in ISO 8601; "" for 0."""
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds") if at else ""
