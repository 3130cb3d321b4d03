"""The costs of an architecture as tables: layer by layer, or two architectures side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby, zip_longest

from rich.console import Console
from rich.table import Table

from nas.building import Node, Shape
from nas.choice import is_open
from nas.family import StackedNetwork, family
from nas.notation import in_lines, notation
from nas.profiling import Layer, Profile, checked_profile
from nas.runs.architecture import find_architecture, find_tree, shape_of
from nas.runs.yaml_file import override
from nas.space import choices, count
from nas.tracing import Pair


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """An architecture by name or in notation, its network options, and the shape of its images."""

    name: str
    assignments: Sequence[str] = ()
    input: str | None = None

    def network(self) -> tuple[Node, Shape]:
        """Return the network, and the shape (C, H, W) of its images."""
        found = find_architecture(self.name)
        options: dict[str, object] = {**found.options}
        override(options, self.assignments)
        input = shape_of(self.input) if self.input is not None else found.input
        return replace(found, options=options).tree(), input


@dataclass(frozen=True, slots=True)
class NetworkCosts:
    """The costs of a network for an image of shape `input` (C, H, W)."""

    profile: Profile
    input: Shape


def show_architecture(name: str, console: Console) -> None:
    """Print an architecture as text, and its costs as it was stacked in its run or is stacked by default.

    Of a space print the choices and the size.
    """
    found = find_tree(name)
    if is_open(found.architecture):
        print_architecture(notation(found.architecture), console)
        _print_size(found, console)
        return
    print_architecture(family(found.family).describe(found.architecture), console)
    _print_totals(_profile(ProfileRequest(name)), console)
    if found.classes:
        console.print(f"Classes: {', '.join(found.classes)}", soft_wrap=True)
    if found.preprocessing is not None:
        console.print(f"Images: {found.preprocessing.describe()}", soft_wrap=True)


def _print_size(found: StackedNetwork, console: Console) -> None:
    """Print the size of a space, and its family."""
    number = f"{count(found.architecture):,} architectures, {len(choices(found.architecture))} open choices"
    console.print(f"A space of {found.family}: {number}", style="bold")


def print_architecture(text: str, console: Console) -> None:
    """Print an architecture; long notation has a line per stage."""
    for line in in_lines(text):
        console.print(line, style="green", soft_wrap=True)


def show_profile(asked: ProfileRequest, against: str | None, as_json: bool, console: Console) -> None:
    """Print the costs of each layer, and the totals; with another architecture both side by side."""
    asked_for = [asked] if against is None else [asked, ProfileRequest(against, asked.assignments, asked.input)]
    costs = {each.name: _profile(each) for each in asked_for}
    if as_json:
        plain = {
            name: {**asdict(each.profile), "weight_bytes": each.profile.weight_bytes, "input": each.input}
            for name, each in costs.items()
        }
        print(json.dumps(plain if against is not None else plain[asked.name], indent=1))
        return
    if against is not None:
        _print_side_by_side(asked.name, costs[asked.name].profile, against, costs[against].profile, console)
        return
    _print_layers(costs[asked.name].profile, console)
    _print_totals(costs[asked.name], console)


def _profile(asked: ProfileRequest) -> NetworkCosts:
    network, input = asked.network()
    return NetworkCosts(checked_profile(network, input), input)


def _print_layers(costs: Profile, console: Console) -> None:
    table = _table(["layer", "kind"], ["output", "params", "MACs", "activation kB", "receptive field px", "stride"])
    for layer in costs.layers:
        if layer.kind != "Identity":
            numbers = f"{layer.params:,}", f"{layer.macs:,}", f"{layer.activation_bytes / 1e3:,.1f}"
            reach = _sides(layer.receptive_field), _sides(layer.stride)
            table.add_row(layer.name, layer.kind, _times(layer.output), *numbers, *reach)
    console.print(table)


def _table(texts: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in texts:
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify="right")
    return table


def _times(sizes: Iterable[int]) -> str:
    return "x".join(map(str, sizes))


def _sides(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else _times(pair)


def _totals(costs: Profile) -> dict[str, tuple[float, str, str]]:
    """Return the totals by name, each as (number to compare, text to print, note)."""
    weights = costs.weight_bytes
    halved, bytes_of_int8 = _size(weights["bfloat16"]), _size(weights["int8"])
    return {
        "params": (costs.params, f"{costs.params:,}", ""),
        "MACs": (costs.macs, f"{costs.macs:,}", ""),
        "weights": (
            costs.params,  # in float32 the ratio of bytes is that of parameters
            _size(weights["float32"]),
            f"in float32; {halved} in bfloat16, {bytes_of_int8} in int8",
        ),
        "activations": (costs.activation_bytes, _size(costs.activation_bytes), "as kept for a backward pass"),
        "peak activations": (
            costs.peak_activation_bytes,
            _size(costs.peak_activation_bytes),
            "at most, during inference",
        ),
        "depth": (costs.depth, str(costs.depth), "convolutions and linear layers on the longest path"),
        "receptive field": (
            max(costs.receptive_field),
            f"{_sides(costs.receptive_field)} px",
            "of the last feature map",
        ),
    }


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:,.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:,.2f} kB"


def _print_totals(counted: NetworkCosts, console: Console) -> None:
    costs = counted.profile
    console.print(f"{costs.params:,} params  {costs.macs:,} MACs", style="bold")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, (_, text, note) in list(_totals(costs).items())[2:]:
        table.add_row(name, text, note)
    console.print(table)
    console.print(
        f"For one image of {_times(counted.input)}, activations in float32. MACs: multiply-adds of convolutions, linear "
        "layers and attention, without an auxiliary head",
        style="dim",
    )


def _print_side_by_side(name: str, costs: Profile, other: str, others: Profile, console: Console) -> None:
    """Print the totals with their ratio, then the parts of both networks in order."""
    table = _table([""], [name, other, "ratio"])
    both = zip(_totals(costs).items(), _totals(others).values(), strict=True)
    for (total, (value, text, _)), (value_of_other, text_of_other, _) in both:
        ratio = f"{value_of_other / value:.2f}" if value else ""
        table.add_row(total, text, text_of_other, ratio)
    console.print(table)
    table = _table([name], ["output", "params", "MACs"])
    for column in (other, "output", "params", "MACs"):
        table.add_column(column, justify="left" if column == other else "right")
    for row, row_of_other in zip_longest(_parts(costs.layers), _parts(others.layers), fillvalue=("",) * 4):
        table.add_row(*row, *row_of_other)
    console.print(table)


def _parts(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """Return (name, output, parameters, multiply-adds) of each part of a network: stem, layers, head."""
    rows: list[tuple[str, ...]] = []
    # "stem.0.conv" is of the part "stem", "layers.3.edge" of the part "layers.3"
    for name, group in groupby(
        layers, key=lambda layer: ".".join(layer.name.split(".")[: 2 if "layers." in layer.name else 1])
    ):
        inside = list(group)
        params, macs = sum(layer.params for layer in inside), sum(layer.macs for layer in inside)
        rows.append((name, _times(inside[-1].output), f"{params:,}", f"{macs:,}"))
    return rows
