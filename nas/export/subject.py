"""Subject: what is exported, found by its name: an architecture, the network that it is stacked to, and its weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from nas.build import Node, Shape, build
from nas.choice import choices, is_open
from nas.export.fold import Folded, fold_batch_norms
from nas.family import Family, families, family
from nas.profile import Profile, profile
from nas.record import RecordError, digest
from nas.runtime.architecture import Found, find_architecture, find_checkpoint, typed_tree
from nas.runtime.yaml_file import override
from nas.training import load_weights, seeded

TYPED = "macro"
"""The family of a tree that was typed: its members are whole networks, as that is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be exported: its name, how it is stacked, and for images of which shape (C, H, W).

    `untrained` takes random weights of seed 0 where there are none, `fold` makes batch norms part of the convolutions.
    """

    name: str
    assignments: Sequence[str] = ()
    input: Shape | None = None
    untrained: bool = False
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """What is exported. Of a space there is no network; without weights the network's are random, of seed 0.

    `tree` is what drawings and notations are of: the architecture or, where it was asked to be stacked, the network.
    """

    asked: Asked
    found: Found
    tree: Any
    network: Node | None
    weights: Path | None

    @property
    def family(self) -> Family:
        """The family of the architecture."""
        return family(self.found.family)

    @property
    def is_space(self) -> bool:
        """Whether choices are still open."""
        return is_open(self.found.architecture)

    @property
    def file_name(self) -> str:
        """What its files are called, without a suffix; a name in Python too."""
        return _file_name(self.asked.name)

    def model(self) -> nn.Module:
        """Build the network with its weights, for evaluation. Raises RecordError where they are of another."""
        assert self.network is not None
        with seeded(0):
            model = build(self.network, self.found.input).eval()
        if self.weights is not None:
            load_weights(model, self.weights, digest(self.network))
        return model

    def built(self) -> Built:
        """Build the network as it is trained and, if that was asked for, with its batch norms folded."""
        costs = self._costs()
        model = self.model()
        return Built(self, model, costs, fold_batch_norms(model, self.found.input) if self.asked.fold else None)

    def _costs(self) -> Profile:
        """Count what the network costs. Raises RecordError where it does not run on images of the shape."""
        assert self.network is not None
        try:
            return profile(self.network, self.found.input)
        except RecordError:
            raise
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            shape, reason = "x".join(map(str, self.found.input)), " ".join(str(error).split())
            raise RecordError(f"the network does not run on images of {shape} ({reason}): change one of them") from None


@dataclass(frozen=True, slots=True)
class Built:
    """A subject with its network at work, in evaluation mode; `model` is as it was trained."""

    subject: Subject
    model: nn.Module
    costs: Profile
    folded: Folded | None = None

    @property
    def exported(self) -> nn.Module:
        """The network that is written: the folded one, if there is one."""
        return self.model if self.folded is None else self.folded.model


def find_subject(asked: Asked) -> Subject:
    """Return what a name stands for. Raises RecordError where it stands for nothing, or cannot be stacked as asked."""
    found, weights = _found(asked)
    options: dict[str, object] = {}
    override(options, asked.assignments)
    known = family(found.family)
    stacked = replace(found, network={**found.network, **options}, input=asked.input or found.input)
    arguments = known.network_arguments(stacked.network, "")
    if is_open(found.architecture):
        network = known.network(found.architecture, **arguments) if options else None
        return Subject(asked, stacked, network or found.architecture, None, None)
    network = known.network(found.architecture, **arguments)
    return Subject(asked, stacked, network if options else found.architecture, network, weights)


def _found(asked: Asked) -> tuple[Found, Path | None]:
    """Return the architecture that a name stands for, and the file of its weights, if there are any."""
    name, path = asked.name, Path(asked.name)
    if (typed := typed_tree(name)) is not None:
        return Found(TYPED, typed), None
    if name in (spaces := families()) and not path.exists():
        return Found(name, spaces[name].space(), input=spaces[name].input), None
    if path.suffix == ".safetensors" or (path / "best.safetensors").is_file():
        found, weights = find_checkpoint(name)
        return found, None if asked.untrained else weights
    return find_architecture(name), None


def _file_name(name: str) -> str:
    if set(name) & set("[{( "):
        return "network"
    path = Path(name)
    stem = path.stem if path.is_file() else path.resolve().name if path.is_dir() else name.rpartition(":")[2]
    stem = path.resolve().parent.name if path.is_file() and stem == "best" else stem
    plain = re.sub(r"\W+", "_", stem).strip("_").lower()
    return plain if plain.isidentifier() else f"network_{plain}"


def listed_choices(space: Any, most: int = 4) -> str:
    """Return how many choices are open in a space, with the names of the first."""
    names = list(choices(space))
    return f"{len(names)} open choices ({', '.join(names[:most])}{', ...' if len(names) > most else ''})"
