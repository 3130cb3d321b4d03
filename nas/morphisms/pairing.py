"""Pairing: which module of a grown network continues which module of its parent, and which are new."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from torch import nn

from nas.building import Node
from nas.morphisms.neutral import NoNeutral, pass_on, silence
from nas.operations.skip import Zeros
from nas.topology.branches import Joined
from nas.topology.cell import CellModule
from nas.topology.network import Network
from nas.topology.network import _NetworkModule as NetworkModule
from nas.topology.residual import _Sum as Sum


@dataclass(slots=True)
class Pairing:
    """The pairs of two networks: `names` maps modules of the new one to those of the old.

    The new layers named in `through` pass on what they read; `norms` are their batch norms.
    """

    names: dict[str, str] = field(default_factory=lambda: {"": ""})
    through: list[str] = field(default_factory=list)
    norms: list[str] = field(default_factory=list)

    def pair(self, new: nn.Module, old: nn.Module, name: str, old_name: str) -> None:
        """Pair two modules and all in them; a new module inside gets neutral weights where it has such."""
        if isinstance(new, Sum) and not isinstance(old, Sum):
            # a shortcut was put around the old module
            self.pair(new.body, old, f"{name}.body", old_name)
            self._add_path(new.shortcut)
        elif isinstance(old, Sum) and not isinstance(new, Sum):
            self.pair(new, old.body, name, f"{old_name}.body")
        elif isinstance(old, Zeros) and not isinstance(new, Zeros):
            self._add_path(new)
        elif isinstance(old, nn.Identity) and not isinstance(new, nn.Identity):
            self._insert(new, name)
        elif isinstance(new, nn.Sequential) or isinstance(old, nn.Sequential):
            self._pair_chains(_parts(new, name), _parts(old, old_name))
        elif isinstance(new, CellModule) and isinstance(old, CellModule):
            self._pair_cells(new, old, name, old_name)
        elif isinstance(new, Joined) and isinstance(old, Joined):
            self._pair_paths(new, old, name, old_name)
        elif type(new) is type(old):
            self.names[name] = old_name
            self._pair_children(new, old, name, old_name)

    def pair_networks(self, new: nn.Module, old: nn.Module, new_tree: Node, old_tree: Node) -> None:
        """Pair two whole networks; their layers by stage and repetition, so that each stage grows at its end."""
        if not (isinstance(new, NetworkModule) and isinstance(old, NetworkModule)):
            self.pair(new, old, "", "")
            return
        assert isinstance(new_tree, Network)
        assert isinstance(old_tree, Network)
        self.pair(new.stem, old.stem, "stem", "stem")
        self.pair(new.head, old.head, "head", "head")
        self._pair_children(new.auxiliary, old.auxiliary, "auxiliary", "auxiliary")
        places = {place: i for i, place in enumerate(old_tree.places())}
        for i, (place, layer) in enumerate(zip(new_tree.places(), new.layers, strict=True)):
            if place in places:
                j = places[place]
                self.pair(layer, old.layers[j], f"layers.{i}", f"layers.{j}")
            else:
                self._insert(layer, f"layers.{i}")

    def _pair_chains(self, new: Sequence[tuple[str, nn.Module]], old: Sequence[tuple[str, nn.Module]]) -> None:
        """Pair two sequences from their beginning or, where the kinds there differ, by the longest runs of equal kinds.

        A new module passes on what it reads.
        """
        if all(_could_continue(module, other) for (_, module), (_, other) in zip(new, old, strict=False)):
            runs = [(0, len(old), 0, len(new))]
        else:
            kinds, old_kinds = ([_kind(module) for _, module in parts] for parts in (new, old))
            matcher = SequenceMatcher(a=old_kinds, b=kinds, autojunk=False)
            runs = [opcode[1:] for opcode in matcher.get_opcodes()]
        for from_old, to_old, from_new, to_new in runs:
            both = min(to_old - from_old, to_new - from_new)
            for (name, module), (old_name, other) in zip(new[from_new:to_new], old[from_old:to_old], strict=False):
                self.pair(module, other, name, old_name)
            for name, module in new[from_new + both : to_new]:
                self._insert(module, name)

    def _pair_cells(self, new: CellModule, old: CellModule, name: str, old_name: str) -> None:
        """Pair two cells by the states that edges read; a new edge adds zero."""
        for part in ("preprocess", "adapt"):
            self._pair_children(
                new.get_submodule(part), old.get_submodule(part), f"{name}.{part}", f"{old_name}.{part}"
            )
        for i, (operations, others) in enumerate(zip(new.nodes, old.nodes, strict=False)):
            known = {key: j for j, key in enumerate(numbered(old.sources[i]))}
            for k, key in enumerate(numbered(new.sources[i])):
                operation = operations[k]  # type: ignore[index]
                if key in known:
                    places = f"{name}.nodes.{i}.{k}", f"{old_name}.nodes.{i}.{known[key]}"
                    self.pair(operation, others[known[key]], *places)  # type: ignore[index]
                else:
                    self._add_path(operation)

    def _pair_paths(self, new: Joined, old: Joined, name: str, old_name: str) -> None:
        """Pair parallel paths by position; a new path that is added adds zero."""
        self._pair_children(new.paths, old.paths, f"{name}.paths", f"{old_name}.paths")
        for path in list(new.paths)[len(old.paths) :] if new.join == "add" else []:
            self._add_path(path)

    def _pair_children(self, new: nn.Module, old: nn.Module, name: str, old_name: str) -> None:
        others = dict(old.named_children())
        for key, child in new.named_children():
            if key in others:
                self.pair(child, others[key], f"{name}.{key}".lstrip("."), f"{old_name}.{key}".lstrip("."))

    def _insert(self, module: nn.Module, name: str) -> None:
        """Make a new module in a row pass on what it reads, where it can."""
        drawn = deepcopy(module.state_dict())
        try:
            names, norms = pass_on(module, name)
        except NoNeutral:
            module.load_state_dict(drawn)
            return
        self.through += names
        self.norms += norms

    def _add_path(self, module: nn.Module) -> None:
        """Make a new path that is added to others add zero, where it can."""
        with suppress(NoNeutral):
            silence(module)


def _parts(module: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    """Return the modules of a sequence with their names; a module alone is a sequence of one."""
    if not isinstance(module, nn.Sequential):
        return [(name, module)]
    return [(f"{name}.{key}".lstrip("."), part) for key, part in module.named_children()]


def _could_continue(new: nn.Module, old: nn.Module) -> bool:
    """Whether a module is of the class of another one, perhaps with a shortcut around."""
    return type(new.body if isinstance(new, Sum) and not isinstance(old, Sum) else new) is type(old)


def _kind(module: nn.Module) -> str:
    """Return the classes of a module and of all in it, without sizes."""
    inner = ",".join(_kind(part) for part in module.children())
    return f"{type(module).__name__}({inner})"


def numbered(keys: Sequence[int]) -> list[tuple[int, int]]:
    """Return each key with the number of equal ones before it."""
    return [(key, keys[:i].count(key)) for i, key in enumerate(keys)]
