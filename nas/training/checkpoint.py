"""The files that training writes: checkpoints to resume from, and weights. No file is unpickled without restrictions."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.files import write_atomically
from nas.records import RecordError
from nas.training.peers import Peers

FORMAT = 2
"""The version of the checkpoint format. Other versions are refused."""

NETWORK = "cellstack_network"
"""The key, in a safetensors file, of the digest of the network that the weights belong to."""

DESCRIPTION = "cellstack_description"
"""The key, in a safetensors file, of the JSON that describes the network and the data that it was trained with."""


def save_checkpoint(path: Path, run: str, state: dict[str, Any]) -> None:
    """Write the state of the run named `run`, atomically."""

    def write(beside: Path) -> None:
        with beside.open("wb") as file:  # given a path, torch does not report a full disk
            torch.save({"cellstack": FORMAT, "run": run, **state}, file)

    write_atomically(path, write)


def load_checkpoint(path: Path, run: str, former: str = "") -> dict[str, Any] | None:
    """Return the saved state of the run, on the CPU, or None where there is no file.

    `former` is the name that version 0.1 gave to the run. Raises RecordError where the file is broken or belongs to
    another run: one with another recipe, seed, data or network.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        version, name = state["cellstack"], state["run"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError) as error:
        raise RecordError(
            f"{path} is no checkpoint, or broken ({_first_line(error)}): delete it to start again"
        ) from error
    if version != FORMAT:
        raise RecordError(f"{path} has format {version}, and this library reads {FORMAT}: delete it to start again")
    if name not in (run, former):
        raise RecordError(
            f"{path} is of another run, {name}, and this is {run} (recipe, seed, data or network differ): give another "
            "path, or delete it to start again"
        )
    return state


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in the checkpoint of any run, on the CPU. Raises RecordError where the file is broken."""
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["stepper"]["model"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError) as error:
        raise RecordError(f"{path} is no checkpoint of a training, or broken ({_first_line(error)})") from error
    return weights


def load_together(
    path: Path | None, names: tuple[str, str], peers: Peers, device: torch.device
) -> dict[str, Any] | None:
    """Return the state from `load_checkpoint` in all ranks; None without a path.

    `names` are the run's names, now and in version 0.1. Raises RecordError where only some ranks see the file.
    """
    state = load_checkpoint(path, *names) if path is not None else None
    if peers.mean(float(state is None), device) not in (0.0, 1.0):
        raise RecordError("not every worker sees the checkpoint: put the run folder on storage that all nodes share")
    return state


def save_weights(model: nn.Module, path: Path, network: str = "", description: str = "") -> None:
    """Write the model's weights and buffers as safetensors, atomically; a shared weight is written under each of its names.

    `network` is the digest of the tree that the model was built from; a file with a digest loads into no other network.
    `description` is JSON that describes the network, so that the file can be used on its own.
    """
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    places = Counter(tensor.data_ptr() for tensor in tensors.values())
    tensors = {name: tensor.clone() if places[tensor.data_ptr()] > 1 else tensor for name, tensor in tensors.items()}
    metadata = {key: text for key, text in ((NETWORK, network), (DESCRIPTION, description)) if text}

    def write(beside: Path) -> None:
        save_file(tensors, beside, metadata or None)
        _sort_metadata(beside)

    write_atomically(path, write)


def _sort_metadata(path: Path) -> None:
    """Sort the metadata in the header of a safetensors file: the library writes it in the order of a hash map, another each time.

    The header is JSON after 8 bytes with its length; spaces may follow it.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        if "__metadata__" not in header:
            return
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:
            file.seek(8)
            file.write(text.ljust(size))


def load_weights(model: nn.Module, path: Path, network: str = "") -> None:
    """Load a file written by `save_weights` into the model.

    Raises RecordError where the file is missing, broken or, by its digest, of another network, or where a tensor is
    missing, unknown or of another shape.
    """
    of, tensors = _read_weights(path)
    if network and of and network != of:
        raise RecordError(
            f"{path} holds the weights of network {of}, and this is {network}: give the weights of this architecture, "
            "stacked as it was trained"
        )
    own, found = ({name: tuple(each.shape) for name, each in named.items()} for named in (model.state_dict(), tensors))
    if differing := sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name)):
        name = differing[0]
        raise RecordError(
            f"{path} does not fit the network: {len(differing)} tensors differ, the first {name!r}, {found.get(name)} in "
            f"the file and {own.get(name)} in the network: give the weights of this architecture"
        )
    model.load_state_dict(tensors)


def read_description(path: Path) -> str:
    """Return the JSON description in a file of weights; empty where it has none. No tensor is read."""
    with _opened(path) as file:
        return str((file.metadata() or {}).get(DESCRIPTION, ""))


def network_of(path: Path) -> str:
    """Return the digest of the network in a file of weights; empty where it has none. No tensor is read."""
    with _opened(path) as file:
        return str((file.metadata() or {}).get(NETWORK, ""))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name. Raises RecordError where it cannot be read."""
    return _read_weights(path)[1]


def _read_weights(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Return the network's digest in a file, empty where it has none, and the tensors."""
    with _opened(path) as file:
        return (file.metadata() or {}).get(NETWORK, ""), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise RecordError(f"{path} cannot be read as safetensors ({_first_line(error)}): give another file") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
