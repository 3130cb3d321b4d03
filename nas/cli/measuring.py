"""The command that measures the latency of a network."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from nas.cli.options import ArchitectureName, AsJson, ImageShape, NetworkOptions, terminal

Runtime = Annotated[Literal["torch", "onnxruntime"], typer.Option(help="What runs the network here.")]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="Where it runs here.")]
Batch = Annotated[int, typer.Option(min=1, help="Images at a time.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads on a CPU.")]
Dtype = Annotated[Literal["float32", "bfloat16", "float16"], typer.Option(help="The data type.")]
Runs = Annotated[int, typer.Option(min=1, help="Timed runs, after five that are not.")]
Measure = Annotated[
    str | None,
    typer.Option(
        help="A command that measures the network elsewhere, such as './on_board.sh {onnx}', and prints a line of JSON with "
        "latency_ms; the options above but --input are for this machine."
    ),
]
Layers = Annotated[bool, typer.Option("--layers", help="Print the time of each layer, too.")]


def latency(
    architecture: ArchitectureName,
    assignments: NetworkOptions = None,
    input: ImageShape = None,
    runtime: Runtime = "torch",
    device: Device = "cpu",
    batch: Batch = 1,
    threads: Threads = 1,
    dtype: Dtype = "float32",
    runs: Runs = 30,
    measure: Measure = None,
    layers: Layers = False,
    as_json: AsJson = False,
) -> None:
    """Measure the time of an inference of a network, untrained, on this machine or on a device of yours.

    `latency_ms` is the median of the runs, `latency_p90_ms` the 90th percentile.

    nas latency mobilenet:mobilenet_v2 --layers

    nas latency runs/mine --runtime onnxruntime

    nas latency runs/mine --measure "./on_board.sh {onnx}"
    """
    from nas.evaluation.device_latency import DeviceLatency
    from nas.evaluation.latency import Latency
    from nas.records import RecordError
    from nas.terminal.profile_table import ProfileRequest
    from nas.terminal.show_latency import show_latency

    if measure is not None and layers:
        raise RecordError("--layers is for torch on this machine, not for --measure: leave one of them out")
    here = Latency(device, runtime, batch, dtype, threads, runs=runs)
    asked = ProfileRequest(architecture, assignments or [], input)
    show_latency(asked, here if measure is None else DeviceLatency(measure), layers, as_json, terminal())
