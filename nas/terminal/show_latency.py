"""The output of `nas latency`: the time of an inference, and of each layer."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from nas.evaluation.device_latency import DeviceLatency
from nas.evaluation.latency import Latency, untrained
from nas.evaluation.layer_times import LayerTime
from nas.profiling import checked_profile
from nas.terminal.profile_table import ProfileRequest


def show_latency(
    asked: ProfileRequest, device: Latency | DeviceLatency, by_layer: bool, as_json: bool, console: Console
) -> None:
    """Measure an untrained network, and print the time of an inference and, if asked for, of each layer."""
    network, input = asked.network()
    costs, model = checked_profile(network, input), untrained(network, input)
    scores = device.measured(model, input)
    layers = device.by_layer(model, input) if by_layer and isinstance(device, Latency) else []
    if as_json:
        found: dict[str, Any] = {**scores, "params": costs.params, "macs": costs.macs, "input": input}
        print(json.dumps(found | ({"layers": [asdict(each) for each in layers]} if by_layer else {}), indent=1))
        return
    if by_layer:
        _print_layers(layers, console)
    for name, score in scores.items():
        console.print(f"{name}  {score:.4g}")
    console.print(f"{costs.params:,} params, {costs.macs:,} MACs, images {'x'.join(map(str, input))}", soft_wrap=True)


def _print_layers(layers: list[LayerTime], console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("layer")
    table.add_column("kind")
    table.add_column("ms", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    whole = sum(each.ms for each in layers) or 1.0
    for each in layers:
        share = each.ms / whole
        if each.kind != "Identity":
            table.add_row(each.name, each.kind, f"{each.ms:.3f}", f"{100 * share:.1f} %", "█" * round(20 * share))
    console.print(table)
