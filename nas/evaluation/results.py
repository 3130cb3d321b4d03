"""The files that a final training writes next to its weights, and how they are read.

Of several ranks that train together, rank 0 writes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from nas.building import Node
from nas.files import write_atomically
from nas.plain import from_plain, read, write
from nas.records import RecordError, digest, to_plain
from nas.training import Epoch, save_weights
from nas.training.measure import TestResult
from nas.training.peers import peers


def beside(weights: Path, ending: str) -> Path:
    """Return the file of the same name next to the weights, as best.test.json next to best.safetensors."""
    return weights.with_name(f"{weights.name.removesuffix('.safetensors')}.{ending}")


@dataclass(frozen=True, slots=True)
class TestedNetwork:
    """A trained and tested network: its tree, its model, the moving average (EMA) if there is one, and the test result.

    `description` is JSON that describes the network of the weights.
    """

    network: Node
    model: nn.Module
    average: nn.Module | None
    measured: TestResult
    description: str = ""


def save_test(weights: Path, tested: TestedNetwork) -> None:
    """Write the weights, those of the moving average (EMA) if there is one, and the test result."""
    if peers().rank:
        return
    name, model, average, measured = digest(tested.network), tested.model, tested.average, tested.measured
    save_weights(average if average is not None else model, weights, name, tested.description)
    if average is not None:
        save_weights(model, beside(weights, "raw.safetensors"), name, tested.description)
    save_measured(weights, measured)


def save_measured(weights: Path, measured: TestResult) -> None:
    """Write a test result to the `.test.json` next to the weights."""
    text = write(measured)
    write_atomically(beside(weights, "test.json"), lambda file: file.write_text(text, encoding="utf-8"))


def append_epoch(weights: Path, epoch: Epoch) -> None:
    """Append the report of an epoch to the `.epochs.jsonl` next to the weights."""
    if peers().rank:
        return
    weights.parent.mkdir(parents=True, exist_ok=True)
    with beside(weights, "epochs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(to_plain(epoch, defaults=True)) + "\n")


def read_epochs(weights: Path) -> list[Epoch]:
    """Return the epochs of the training that writes, or wrote, these weights; of repeated epochs the last report counts."""
    path = beside(weights, "epochs.jsonl")
    found: dict[int, Epoch] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            epoch: Epoch = from_plain(json.loads(line), Epoch)
        except ValueError:  # truncated, as the training was killed
            continue
        found[epoch.epoch] = epoch
    return [found[number] for number in sorted(found)]


def read_test(weights: Path) -> TestResult | None:
    """Return the test result of the weights in that file, or None. Raises RecordError where it cannot be read."""
    path = beside(weights, "test.json")
    if not path.is_file():
        return None
    try:
        plain: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecordError(f"{path} cannot be read ({error}): test the weights again") from None
    measured: TestResult = read(plain, str(path), TestResult)
    return measured
