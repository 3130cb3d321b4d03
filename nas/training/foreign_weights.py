"""Weights of other libraries: a state dict of torchvision, timm or anyone, loaded into the network of the same form."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.building import Shape
from nas.records import RecordError, one_line
from nas.training.checkpoint import load_weights, network_of, read_tensors
from nas.training.weight_order import COUNTER, Part, executed, matched, mismatches, natural, parts_of

INSIDE = ("state_dict", "model_state_dict", "model", "model_ema")
"""The keys under which files of trainings keep the state dict of their network."""

HEADS = ("head.", "auxiliary.")


def load_any(model: nn.Module, path: Path, input: Shape, network: str = "", new_head: bool = False) -> None:
    """Load weights into a model that takes images (C, H, W): those of this project by name, any others by order and shape.

    `network` is the digest of the model's tree. With `new_head` the tensors of a head for other classes stay as they are.
    Raises RecordError where the file cannot be read or, with every mismatch, where it does not fit.
    """
    if path.suffix == ".safetensors" and network_of(path) and not new_head:
        load_weights(model, path, network)
        return
    given, own = read_state(path), model.state_dict()
    taken = _by_name(own, given, new_head) or _by_order(model, given, path, input, new_head)
    model.load_state_dict({**own, **taken})


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name, from safetensors or from a file of torch.save; nothing is unpickled freely.

    Names of safetensors are sorted, those of torch.save keep their order. Raises RecordError where the file is no such file.
    """
    if not path.is_file():
        raise RecordError(f"there are no weights {path}: give a .safetensors file, or a state dict saved by torch.save")
    if path.suffix == ".safetensors":
        tensors = read_tensors(path)
        return {name: tensors[name] for name in sorted(tensors, key=natural)}
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError, OSError) as error:
        raise RecordError(
            f"{path} cannot be read as a state dict ({one_line(error)[:160]}): give a .safetensors file, or a state dict saved "
            "by torch.save(model.state_dict())"
        ) from None
    for key in INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(each, Tensor) for each in found.values()) or not found:
        raise RecordError(f"{path} holds no state dict, a mapping of names to tensors: save model.state_dict() alone")
    return {str(name): tensor for name, tensor in found.items()}


def _by_name(own: Mapping[str, Tensor], given: Mapping[str, Tensor], new_head: bool) -> dict[str, Tensor]:
    """Return the tensors of a file with the network's own names and shapes; empty where any other differs."""
    same = {name: each for name, each in given.items() if name in own and own[name].shape == each.shape}
    differing = own.keys() ^ same.keys()
    heads = {name for name in differing if new_head and name.startswith(HEADS)}
    return same if given.keys() <= own.keys() and differing == heads else {}


def _by_order(
    model: nn.Module, given: Mapping[str, Tensor], path: Path, input: Shape, new_head: bool
) -> dict[str, Tensor]:
    """Return the tensors of a file by the names of the network. Raises RecordError, with every mismatch, where it does not fit.

    Auxiliary heads, which the file names so, are matched apart, and left out where the network has none.
    """
    wanted, found = executed(model, input), parts_of(given)
    main = [part for part in found if not _is_auxiliary(part)]
    pairs = [([part for part in wanted if not _is_auxiliary(part)], main)]
    if len(pairs[0][0]) < len(wanted):
        pairs.append(
            ([part for part in wanted if _is_auxiliary(part)], [part for part in found if _is_auxiliary(part)])
        )
    taken, wrong = dict[str, Tensor](), list[str]()
    for ours, theirs in pairs:
        fits = _other_classes(ours, theirs) if new_head else {}
        order = matched(ours, theirs, fits)
        if order is None:
            wrong += mismatches(ours, theirs) or ["the same shapes, in an order that is not that of the network"]
            continue
        for own, part in zip(ours, order, strict=True):
            taken |= _taken(own, part)
    if wrong:
        raise RecordError(f"{path} does not fit the network, {len(wrong)} of its tensors differ: {'; '.join(wrong)}")
    return taken


def _is_auxiliary(part: Part) -> bool:
    return any("aux" in name for name in part.name.lower().split("."))


def _other_classes(ours: list[Part], theirs: list[Part]) -> dict[Any, Any]:
    """Return, by that of the network's last part, the signature of the file's classifier, where only the classes differ."""
    last = ours[-1]
    alike = [part for part in theirs if part.tensors.keys() == last.tensors.keys() == {"weight", "bias"}]
    fitting = [part for part in alike if part.tensors["weight"].shape[1:] == last.tensors["weight"].shape[1:]]
    return {last.signature: fitting[-1].signature} if last.name.startswith(HEADS) and fitting else {}


def _taken(own: Part, part: Part) -> dict[str, Tensor]:
    """Return a part's tensors by the network's names, in its shapes; none of a head for other classes."""
    theirs = list(part.tensors.values()) if len(own.tensors) == 1 else [part.tensors[name] for name in own.tensors]
    pairs = list(zip(own.tensors.items(), theirs, strict=True))
    if any(mine.numel() != tensor.numel() for (_, mine), tensor in pairs):
        return {}
    return {own.full_name(name): tensor.reshape(mine.shape) for (name, mine), tensor in pairs if name != COUNTER}
