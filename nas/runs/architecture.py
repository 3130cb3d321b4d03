"""Architectures by name: a run folder, one of its evaluations, a file, `space:name`, a genotype, or a tree in notation."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nas.building import Shape
from nas.choice import is_open
from nas.evaluation.trained_network import TrainedNetwork, describe_weights
from nas.family import StackedNetwork, families, family
from nas.fields import shown
from nas.places import is_there
from nas.plain import read
from nas.preprocessing import Preprocessing
from nas.records import RecordError, one_line
from nas.runs.evaluations import evaluation, evaluation_file, front_member, journal_of
from nas.runs.written import is_text, read_description_of, read_found, read_member, read_text, split_member
from nas.space import choices, count
from nas.training.checkpoint import read_description

__all__ = [
    "StackedNetwork",
    "find_architecture",
    "find_checkpoint",
    "find_tree",
    "find_with_weights",
    "is_typed",
    "read_found",
    "shape_of",
]

ELSE = "RUN#17, RUN:front/0, a JSON or YAML file, space:name such as darts:DARTS_V2, a genotype, or a tree in notation"
NAMED = f"a run folder, {ELSE}"


def find_architecture(name: str) -> StackedNetwork:
    """Return the architecture that `name` refers to.

    Raises RecordError where it refers to none, or to a space with open choices.
    """
    found = find_tree(name)
    if is_open(found.architecture):
        number = len(choices(found.architecture))
        raise RecordError(
            f"{shown(name)} is a space of {count(found.architecture):,} architectures, with {number} open choices: search it "
            "(space: in an experiment), or give one of its members"
        )
    return found


def find_tree(name: str) -> StackedNetwork:
    """Return the architecture, or the space with open choices, that `name` refers to.

    Raises RecordError where it refers to neither.
    """
    # what exists on disk goes first: a file may have the name of a space
    path = Path(name)
    if name and is_there(path):
        return find_checkpoint(name)[0] if path.suffix == ".safetensors" else read_found(_file(path))
    if (numbered := _numbered(name)) is not None:
        return evaluation(*numbered)
    if match := re.fullmatch(r"(.+):front/(\d+)", name, re.DOTALL):
        return front_member(Path(match[1]), int(match[2]))
    if (member := read_member(name)) is not None:
        return member
    if name in (spaces := families()):
        one = next((f"one of its networks, as {name}:{member}" for member in spaces[name].published), NAMED)
        raise RecordError(f"{name} is a space: give {one}")
    if is_text(name):
        return read_text(name)
    close = get_close_matches(name, spaces, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"give {NAMED}"
    raise RecordError(f"there is no architecture {shown(name)}: {hint}")


def _file(path: Path) -> Path:
    """Return the architecture file of a run folder; a path that is no folder is returned as it is."""
    if path.is_dir():
        best = path / "best.json"
        if not best.is_file():
            numbered = f"one of its evaluations, as {path}#0" if journal_of(path) is not None else ELSE
            raise RecordError(f"{path} has no best.json: give a run folder whose search has ended, {numbered}")
        return best
    if path.suffix == ".jsonl":
        raise RecordError(f"{path} is the journal of a run: give one of its evaluations, as {path.parent}#0")
    return path


def is_typed(name: str) -> bool:
    """Return whether `name` spells out an architecture, rather than naming a file or a published one."""
    return not is_there(Path(name)) and _numbered(name) is None and split_member(name) is None


def find_checkpoint(name: str) -> tuple[StackedNetwork, Path]:
    """Return the network and the weights file of a run folder, of an evaluation such as RUN#3, or of a .safetensors file.

    The network is described inside the weights file or in the .json next to it. Raises RecordError where there are no weights,
    or neither describes the network.
    """
    numbered = _numbered(name)
    path = Path(name) if numbered is None else evaluation_file(*numbered)
    weights = path / "best.safetensors" if path.is_dir() else path
    if not weights.is_file():
        raise RecordError(
            f"there are no weights {shown(str(weights))}: give a run folder whose training has ended, or a .safetensors file"
        )
    if weights.suffix != ".safetensors":
        raise RecordError(f"{weights} is no .safetensors file: give a run folder, or the weights of one")
    text, beside = read_description(weights), weights.with_suffix(".json")
    inside = read_description_of(weights, text) if text else None
    return describe_weights(weights, inside, read_found(beside) if beside.is_file() else None), weights


def find_with_weights(name: str, weights: Path) -> TrainedNetwork:
    """Return the network that a name refers to, with the weights of a file from elsewhere, which may hold a description.

    Its classes and its preprocessing are those that the file describes, its preprocessing else what the .json next to it says
    (`{"Preprocessing": {...}}`), else what the family knows of the released weights. Raises RecordError where the name refers
    to no closed architecture, or there is no such file.
    """
    if not weights.is_file():
        raise RecordError(f"--weights {weights} is no file: give a state dict, saved by torch.save or as safetensors")
    found, beside = find_architecture(name), weights.with_suffix(".json")
    text = read_description(weights) if weights.suffix == ".safetensors" else ""
    if text:
        inside = read_description_of(weights, text)
        return TrainedNetwork(replace(found, classes=inside.classes, preprocessing=inside.preprocessing), weights)
    if beside.is_file() and beside != weights:
        said = read(_json(beside), str(beside), Preprocessing)
        return TrainedNetwork(replace(found, preprocessing=said), weights)
    member = split_member(name)
    known = family(found.family).preprocessing.get(member[2]) if member is not None else None
    return TrainedNetwork(replace(found, preprocessing=found.preprocessing or known), weights)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecordError(f"{path} is no JSON ({one_line(error)}): repair or remove it") from None


def folder_of(name: str) -> Path:
    """Return the run folder of an evaluation such as RUN#3; any other name is returned as a path."""
    numbered = _numbered(name)
    return Path(name) if numbered is None else numbered[0]


def _numbered(name: str) -> tuple[Path, int] | None:
    """Return the run folder and the evaluation number of a name such as runs/mine#17; None for any other name."""
    # a file or folder of exactly this name goes first, as its own name may end in #17
    match = re.fullmatch(r"(.+)#(\d+)", name, re.DOTALL)
    if match is None or is_there(Path(name)) or not is_there(Path(match[1])):
        return None
    return Path(match[1]), int(match[2])


def shape_of(text: str) -> Shape:
    """Read the shape (C, H, W) of an image, such as 3,224,224 or 3x224x224. Raises RecordError where the text is not a shape."""
    try:
        channels, height, width = (int(part) for part in text.replace("x", ",").split(","))
        if min(channels, height, width) < 1:
            raise ValueError
    except ValueError:
        raise RecordError(f"--input {text!r} is no shape: give channels, height and width, such as 3,224,224") from None
    return channels, height, width
