"""How to repeat a run: the resolved YAML, the command lines, and caveats."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from nas.records import to_plain
from nas.report.summary.summary import Reproduction
from nas.runs.experiment import Expectation, Experiment
from nas.runs.transfer import TRAINED
from nas.runtime.inline import Inline


def search_again(folder: Path, experiment: Experiment) -> Reproduction:
    """Return how to repeat a search with the same seed, and with 10 seeds where published numbers are known."""
    file = folder / "experiment.yaml"
    commands = [shlex.join(["nas", "search", str(file), "--run-dir", f"{folder}-again"])]
    if experiment.expect:
        commands.append(shlex.join(["nas", "reproduce", str(file), "--seeds", "10"]))
    notes: list[str] = []
    if not isinstance(experiment.executor, Inline):
        notes.append(
            "With several workers, later proposals depend on the order in which evaluations finish: "
            "--executor inline gives the same journal each time."
        )
    return _reproduction(file, commands, [*notes, *_of_place(to_plain(experiment))], experiment.expect)


def training_again(folder: Path, expect: Mapping[str, Expectation]) -> Reproduction:
    """Return how to repeat the training of the same network."""
    file = folder / "training.yaml"
    command = ["nas", "train", str(folder / "best.json"), "--recipe", str(file), "--run-dir", f"{folder}-again"]
    return _reproduction(file, [shlex.join(command)], [], expect)


def transfer_again(folder: Path, command: str) -> Reproduction:
    """Return how to repeat a transfer of the same weights: with the recorded command."""
    given = command.partition(" ")[2]
    commands = [f"nas {given}"] if given else []
    notes = [f"The weights that were transferred are in {folder / TRAINED}."]
    return _reproduction(folder / "transfer.yaml", commands, notes, {})


def _reproduction(file: Path, commands: list[str], notes: list[str], expect: Mapping[str, Expectation]) -> Reproduction:
    expected = {name: _expected(each) for name, each in expect.items()}
    return Reproduction(file.read_text(encoding="utf-8"), commands, notes, expected)


def _expected(each: Expectation) -> str:
    return f"{each.text}, tolerance {each.tolerance:g}"


def _of_place(plain: object) -> list[str]:
    return ["The table is read from the folder given by $NAS_DATA."] if "'Table'" in repr(plain) else []
