"""The expected cost of what a supernet searches: SNAS's resource term and the latency loss of ProxylessNAS.

Every part of a supernet is computed with the probabilities of the options around it. So the expected cost of the derived
architecture is a sum over parts of cost times probabilities, and has a gradient with respect to the alphas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, final

import torch
from torch import Tensor, nn

from nas.building import Node, Shape
from nas.choice import Choice
from nas.profiling import profile_module
from nas.records import NonNegative, RecordError, record
from nas.supernets.gates import Gate
from nas.supernets.method import Method
from nas.supernets.mixed import Depths, Mixed, WeightedBranch
from nas.supernets.supernet import Supernet

Options = tuple[tuple[str, tuple[int, ...]], ...]
"""The options around a part, outermost first: in each choice, named first, one of these."""

Costs = dict[Options, float]
"""The cost of the parts that stand inside the same options."""


@record
class ExpectedCost:
    """A term of the alphas' loss: `weight` times the expected cost, divided by that of equally probable options.

    The cost is a `score` of the profile or, with `table`, the number there of each option, as its measured milliseconds; options
    are named as in reports (`SepConv 3`), and count once wherever they stand. The probability of an option is its strength; of
    a `some_of`, k times that; where edges have no weights, all of them count, as they do in the mixture.

    SNAS adds its resource term to the loss in this way where the cost is a sum over operations (Xie et al. 2019,
    arXiv:1812.09926, section 2.4), ProxylessNAS the expected latency (Cai et al. 2019, arXiv:1812.00332, section 3.3.1). Its
    released code by default multiplies the loss by a power of it, and with `add#linear` adds it relative to a reference, as here.
    """

    weight: NonNegative
    score: Literal["macs", "params", "activation_bytes"] = "macs"
    table: Mapping[str, float] | None = None

    def of(self, tree: Node, method: Method, input: Shape, label: Callable[[object], str]) -> Expectation:
        """Return the expected cost of a supernet; `label` names its options."""
        with torch.device("meta"):
            supernet = Supernet(tree, method, input)
        places = dict(_places(supernet.model, "", (), supernet.choices))
        if self.table is not None:
            return Expectation(supernet.choices, _costs_by_table(supernet, places, self.table, label))
        supernet.use(lambda: {name: Gate(tuple(range(_size(each)))) for name, each in supernet.all_choices.items()})
        costs: Costs = {}
        for layer in profile_module(supernet, input).layers:
            place = places.get(layer.name.removeprefix("model."), ())
            costs[place] = costs.get(place, 0.0) + float(getattr(layer, self.score))
        return Expectation(supernet.choices, costs)


@final
class Expectation:
    """The expected cost of a supernet as a function of the probabilities of its options."""

    def __init__(self, choices: Mapping[str, Choice], costs: Costs) -> None:
        self.picks = {name: float(choice.k or 1) for name, choice in choices.items()}
        self.fixed = costs.get((), 0.0)
        # by the options around and the innermost choice: one product of vectors for each
        self.vectors: dict[tuple[Options, str], Tensor] = {}
        for (*outer, (name, options)), cost in ((place, cost) for place, cost in costs.items() if place and cost):
            empty = torch.zeros(_size(choices[name]))
            self.vectors.setdefault((tuple(outer), name), empty)[list(options)] += cost
        equal = {name: torch.full((_size(choice),), 1 / _size(choice)) for name, choice in choices.items()}
        self.reference = float(self(equal)) or 1.0

    def __call__(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """Return the expected cost, (), for the probabilities of each choice's options, (options,)."""
        total = next(iter(probabilities.values())).new_tensor(self.fixed)
        for (outer, name), costs in self.vectors.items():
            part = self.picks[name] * (probabilities[name] @ costs.to(probabilities[name]))
            for around, options in outer:
                part = part * self.picks[around] * probabilities[around][list(options)].sum()
            total = total + part
        return total


def _size(choice: Choice) -> int:
    return len(choice.options) + len(choice.supernet_only)


def _places(
    module: nn.Module, name: str, inside: Options, weighed: Mapping[str, Choice]
) -> Iterator[tuple[str, Options]]:
    """Yield the name of each module with the options that it stands in."""
    yield name, inside
    for key, child in module.named_children():
        for inner_name, inner, options in _inner(module, key, child):
            around = (*inside, options) if options is not None and options[0] in weighed else inside
            yield from _places(inner, f"{name}.{inner_name}".lstrip("."), around, weighed)


def _inner(
    module: nn.Module, key: str, child: nn.Module
) -> Iterator[tuple[str, nn.Module, tuple[str, tuple[int, ...]] | None]]:
    """Yield the parts of a child, each with the options that `module` puts around it."""
    if isinstance(module, Mixed):
        for i, option in enumerate(module.options):
            yield f"{key}.{i}", option, (module.name, (i,))
    elif isinstance(module, Depths):
        for i, layer in enumerate(module.layers):
            deep = tuple(j for j, depth in enumerate(module.depths) if depth > i)
            yield f"{key}.{i}", layer, (module.name, deep)
    elif isinstance(module, WeightedBranch):
        yield key, child, (module.name, (module.index,))
    else:
        yield key, child, None


def _costs_by_table(
    supernet: Supernet, places: Mapping[str, Options], table: Mapping[str, float], label: Callable[[object], str]
) -> Costs:
    """Return the costs of a supernet's options. Raises RecordError where the table lacks one."""
    costs: Costs = {}
    for name, module in supernet.model.named_modules():
        if not isinstance(module, Mixed):
            continue
        choice = supernet.choices[module.name]
        for i, option in enumerate((*choice.options, *choice.supernet_only)):
            if (text := label(option)) not in table:
                raise RecordError(f"the table has no {text!r}: add it, with 0 where it costs nothing", "table")
            place = (*places[name], (module.name, (i,)))
            costs[place] = costs.get(place, 0.0) + table[text]
    return costs
