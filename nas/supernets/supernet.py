"""Supernet: a space built as one network, of which every architecture of the space is a part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from nas.building import Node, Relaxation, Shape, Site, build
from nas.choice import Choice, SpaceError, choices, rebuild
from nas.records import digest
from nas.space import decisions
from nas.supernets.gates import Gate, Gates, Places, StepContext
from nas.supernets.method import Method, options_with_inner_names
from nas.supernets.mixed import Depths, Mixed, WeightedBranch
from nas.supernets.policy import path_gates


@final
class Supernet(nn.Module):
    """The network of a space with its choices open, and the policy that weighs the options.

    Takes images (B, C, H, W), returns logits (B, classes). `model` has the weights, `policy` the architecture parameters
    (alphas). All batch norms use batch statistics, as running statistics would mix those of many paths. Raises SpaceError
    where a choice cannot be relaxed.
    """

    def __init__(self, tree: Node, method: Method, input: Shape = (3, 32, 32)) -> None:
        super().__init__()
        builder = _Builder(method, tree)
        self.model = build(tree, input, builder)
        self.gates, self.choices = builder.gates, builder.used
        self.all_choices = {**builder.used, **builder.without_weights}
        self.unweighed = frozenset(builder.unweighed)
        self._outermost = outermost(tree)
        self.policy = method.policy(self.choices)
        self.moment = StepContext(0.0, torch.Generator())
        self._source: Callable[[], Mapping[str, Gate]] | None = None
        _use_batch_statistics(self.model)

    def forward(self, x: Tensor) -> Any:
        self.gates.set(self._source() if self._source else self.policy.gates(self.moment), self.moment)
        return self.model(x)

    def use(self, source: Callable[[], Mapping[str, Gate]] | None) -> None:
        """Take the gates of each following forward pass from `source`; with None, from the policy."""
        self._source = source

    def take(self, space: Any, architecture: Any) -> None:
        """Compute only the path of one architecture of the space, until `use(None)`.

        A path is the network of its architecture with the supernet's weights: operations on an edge are not weighted by
        their alphas. Three things stay as in the supernet. Norms use batch statistics, also after poolings. With partial
        channels an operation has its part of the channels, and the others bypass it. A cell that concatenates the nodes
        no edge reads concatenates all nodes. Raises SpaceError where the architecture leaves a choice open.
        """
        taken = decisions(space, architecture)
        if missing := [name for name in self._outermost if name not in taken]:
            raise SpaceError(
                f"choice {missing[0]!r} of the supernet is not decided by this architecture: give the space and the "
                "architecture of the whole network"
            )
        self.use(partial(dict, path_gates(self.all_choices, taken)))


@final
class _Builder(Relaxation):
    """The relaxation of all choices while one supernet is built; records the choices it meets."""

    def __init__(self, method: Method, tree: Node) -> None:
        self.method, self.gates = method, Gates()
        self.edges_of = edges_of_choices(tree)
        self.used: dict[str, Choice] = {}
        self.without_weights: dict[str, Choice] = {}
        self.unweighed: set[tuple[str, int]] = set()

    def relax(self, choice: Choice, site: Site) -> nn.Module:
        if choice.k is not None:
            raise SpaceError(
                f"choice {choice.name!r} does not relax: it takes {choice.k} of {len(choice.options)} options for one module, "
                "which a supernet cannot mix; resolve it first, or search it by evolution"
            )
        site.output(cast(Node, choice))
        self.used.setdefault(choice.name, choice)
        return self.method.relax(choice, site, lambda inner: self._mixed(choice, inner))

    def _mixed(self, choice: Choice, site: Site) -> nn.Module:
        nodes = (*choice.options, *choice.supernet_only)
        options = [self.method.option(node, site.build(node), self.gates) for node in nodes]
        return Mixed(choice.name, options, self.gates, [digest(each) for each in options_with_inner_names(choice)])

    def weigh(self, choice: Choice, index: int, module: nn.Module) -> nn.Module:
        has_weights = self.method.edge_weights or not _are_told_apart_inside(choice)
        (self.used if has_weights else self.without_weights).setdefault(choice.name, choice)
        # An edge without an edge weight needs no wrapper if its mixture is on no other edge.
        if not has_weights and isinstance(module, Mixed) and self._stands_alone(module, (choice.name, index)):
            self.unweighed.add((choice.name, index))
            return module  # a mixture with no active option returns zero by itself
        return WeightedBranch(choice.name, index, module, self.gates)

    def _stands_alone(self, mixed: Mixed, edge: tuple[str, int]) -> bool:
        """Return whether a mixture's choice occurs on this edge only, so that it is active only where the edge is."""
        (edges, *others) = self.edges_of.get(mixed.name, {()})
        return not others and edge in edges

    def depths(self, choice: Choice, layers: Sequence[nn.Module]) -> nn.Module:
        self.used.setdefault(choice.name, choice)
        return Depths(choice.name, choice.options, layers, self.gates)


def _are_told_apart_inside(choice: Choice) -> bool:
    """Return whether each option of a `some_of` has a choice that no other option has; its strengths are then the option's."""
    inside = [choices(option).keys() for option in choice.options]
    every = Counter(name for names in inside for name in names)
    return choice.k is not None and all(any(every[name] == 1 for name in names) for names in inside)


def outermost(tree: Any) -> list[str]:
    """Return the names of the choices that are in no other choice: every architecture decides them."""
    # `rebuild` does not descend into the choices that it hands to the function
    names: dict[str, Choice] = {}
    rebuild(tree, lambda choice: names.setdefault(choice.name, choice))
    return list(names)


def edges_of_choices(tree: Any) -> dict[str, set[Places]]:
    """Return the occurrences of each choice, by name: the options of `some_of`s around it, outermost first."""
    found: dict[str, set[Places]] = {}

    def visit(part: Any, edges: Places) -> None:
        # `rebuild` hands over the outermost choices only; the recursion visits those inside their options
        def note(choice: Choice) -> Choice:
            found.setdefault(choice.name, set()).add(edges)
            for i, option in enumerate((*choice.options, *choice.supernet_only)):
                visit(option, edges if choice.k is None else (*edges, (choice.name, i)))
            return choice

        rebuild(part, note)

    visit(tree, ())
    return found


def _use_batch_statistics(model: nn.Module) -> None:
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = False
            # without running statistics torch normalises by the batch in evaluation mode too
            norm.running_mean = norm.running_var = norm.num_batches_tracked = None


def transplant(old: nn.Module, new: nn.Module) -> None:
    """Copy the weights that two supernets have in common; where the shapes differ, the first channels (DrNAS)."""
    weights = _by_option(old)
    with torch.no_grad():
        for name, own in _by_option(new).items():
            if name in weights and weights[name].dim() == own.dim():
                # the part of the tensor that both shapes contain
                part = tuple(slice(0, min(sizes)) for sizes in zip(own.shape, weights[name].shape, strict=True))
                own[part] = weights[name][part]


def _by_option(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's weights, with each option of a mixture named by its key instead of its index."""
    renamed = {
        f"{place}.options.{i}.": f"{place}.options.{key}."
        for place, module in model.named_modules()
        if isinstance(module, Mixed)
        for i, key in enumerate(module.keys)
    }
    found = {}
    for name, weight in model.state_dict().items():
        # longest prefix first: renaming an outer mixture would hide the inner one
        for old in sorted((each for each in renamed if name.startswith(each)), key=len, reverse=True):
            name = name.replace(old, renamed[old], 1)
        found[name] = weight
    return found
