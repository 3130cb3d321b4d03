"""The advice on how to resume a run that has not ended."""

from __future__ import annotations

from pathlib import Path

from nas.runs.status import State, seconds_of_silence
from nas.terminal.live import duration


def resume_advice(folder: Path, state: State) -> str:
    """Return how to resume a run that has not ended and, without file locks, how certain that is; empty for other runs."""
    if state == "stopped":
        return f"Stopped before its end: continue with nas resume {folder}"
    if state == "unknown":
        silence = f"{duration(seconds_of_silence(folder))} ago"
        return (
            "Not ended. This system has no file locks, so only the time of the last write, "
            f"{silence}, tells whether a process works on it. If it was stopped, continue with nas resume {folder}"
        )
    return ""
