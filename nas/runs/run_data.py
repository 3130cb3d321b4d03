"""The data of a run: which images and tables it began with, so that it does not silently continue with others."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from nas.data import Data, DataIdentity, identify
from nas.data.split import count_classes
from nas.evaluation.evaluator import Evaluator
from nas.places import is_missing, places_of
from nas.plain import read, write
from nas.records import Natural, RecordError, record

FILE = "data.json"
"""The file in a run folder that identifies the data that the run began with."""

NAMED = 3
"""The maximum number of classes that a message names."""


@record
class FoundData:
    """One data set or table: its identity and, for images, the number of images per class."""

    identity: DataIdentity
    classes: Mapping[str, Natural] = field(default_factory=dict)

    def change(self, now: FoundData) -> str:
        """Return in words what differs in `now`; empty where nothing does."""
        if now.identity.digest == self.identity.digest:
            return ""
        known = dict.fromkeys([*self.classes, *now.classes])
        counts = {name: now.classes.get(name, 0) - self.classes.get(name, 0) for name in known}
        changed = [f"{count:+,} images in class {name}" for name, count in counts.items() if count]
        more = f" and in {len(changed) - NAMED} more classes" if len(changed) > NAMED else ""
        if changed:
            return ", ".join(changed[:NAMED]) + more
        here, before = (sum(each.identity.images.values()) for each in (now, self))
        return "the same number, with other names or contents" if here == before else f"{here:,} instead of {before:,}"


@record
class RunData:
    """The data of a run, by the part of the run that reads them, such as `evaluator`, `supernet` or `data`."""

    parts: Mapping[str, FoundData] = field(default_factory=dict)

    def changes(self, now: RunData) -> str:
        """Return in words which parts read other data in `now`; empty where all data are the same."""
        pairs = ((name, self.parts[name].change(now.parts[name])) for name in self.parts.keys() & now.parts.keys())
        return "; ".join(f"{name}: {change}" for name, change in sorted(pairs) if change)

    def holds(self, now: RunData) -> bool:
        """Return whether every data set of `now` is one that the run began with."""
        known = {each.identity.digest for each in self.parts.values()}
        return all(each.identity.digest in known for each in now.parts.values())


def find_data(readers: Mapping[str, object]) -> RunData:
    """Identify the data that each reader reads now. A reader is a data set, an evaluator or a supernet search."""
    found = {name: _found(reader) for name, reader in readers.items()}
    return RunData({name: each for name, each in found.items() if each is not None})


def _found(reader: object) -> FoundData | None:
    data = reader if isinstance(reader, Data) else getattr(reader, "data", None)
    if isinstance(data, Data):
        return FoundData(identify(data), count_classes(data))
    identity = reader.identity() if isinstance(reader, Evaluator) else None
    return FoundData(identity) if identity is not None else None


def write_data(folder: Path, data: RunData) -> None:
    """Write the data that a run begins with into its folder."""
    (folder / FILE).write_text(write(data), encoding="utf-8")


def read_data(folder: Path) -> RunData | None:
    """Return the data that a run began with; None where its folder does not record them.

    Raises RecordError where the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        found: RunData = read(json.loads(path.read_text(encoding="utf-8")), str(path), RunData)
    except ValueError as error:
        raise RecordError(f"{path} cannot be read ({error}): delete it to resume with the present data") from None
    return found


def hold_to_data(folder: Path, now: RunData, changed_data: bool) -> None:
    """Check that a run resumes with the data that it began with; with `changed_data`, record other data instead.

    Changed data delete the checkpoints of unfinished evaluations, since these have trained on images that may be test images now.
    Warns where the folder does not record its data, as in version 0.1. Raises RecordError where the data have changed without
    `changed_data`.
    """
    before = read_data(folder)
    if before is None:
        warnings.warn(
            f"{folder} does not record which data it began with, as runs of version 0.1 do not: it resumes with the present data",
            stacklevel=2,
        )
        write_data(folder, now)
    elif changes := before.changes(now):
        if not changed_data:
            raise RecordError(
                f"{folder} began with other data ({changes}), and images that it has trained on may be test images now: "
                "restore the data, start a new run, or resume with --changed-data"
            )
        warnings.warn(f"the data have changed ({changes}): unfinished evaluations start again", stacklevel=2)
        for checkpoint in (folder / "checkpoints").glob("*.pt"):
            checkpoint.unlink()
        _note(folder, changes)
        write_data(folder, now)


def _note(folder: Path, changes: str) -> None:
    """Add a comment to the YAML file of a run folder that its data have changed."""
    for name in ("experiment.yaml", "training.yaml", "transfer.yaml"):
        if (file := folder / name).is_file():
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
            comments = [line for line in lines if line.startswith("#")]
            rest = "".join(line for line in lines if not line.startswith("#"))
            file.write_text("".join([*comments, f"# data changed: {changes}\n"]) + rest, encoding="utf-8")


def check_places(folder: Path, declared: object) -> None:
    """Check that every file and folder that a run reads exists.

    Raises RecordError where one is missing, with the assignment that sets its new path.
    """
    missing = [(key, value) for key, value in places_of(declared) if is_missing(value)]
    if missing:
        # short for all missing paths where their keys end the same way, as in data.path
        (key, value), keys = missing[0], {".".join(key.split(".")[-2:]) for key, _ in missing}
        short = keys.pop() if len(keys) == 1 else key
        raise RecordError(
            f"{value}, {key} of the run, does not exist: restore it or, where it has moved, give its new path: "
            f"nas resume {folder} {short}=PATH"
        )
