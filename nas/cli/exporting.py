"""The command that exports architectures and networks to files for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import ImageShape, NetworkOptions, WeightsFile, telling, terminal

What = Annotated[
    str,
    typer.Argument(
        metavar="ARCH|CHECKPOINT",
        help="A run folder, RUN#17, a .safetensors, JSON or YAML file, space:name such as darts:DARTS_V2, a space, a genotype, "
        "or a tree in notation.",
    ),
]
Formats = Annotated[str, typer.Option("--to", help="Formats, separated by commas, such as onnx,source,svg.")]
Out = Annotated[Path | None, typer.Option(help="A folder or, for one format, a file; by default the current folder.")]
FoldNorms = Annotated[
    bool, typer.Option("--fold-bn", help="Fold batch norms into the convolutions before them, for inference.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]
Untrained = Annotated[bool, typer.Option("--untrained", help="Use random weights, drawn with seed 0.")]
Half = Annotated[bool, typer.Option("--half", help="Store weights in 16 bits, and compute in them (onnx).")]
Softmax = Annotated[bool, typer.Option("--softmax", help="Return probabilities in place of logits (onnx, int8).")]
Inside = Annotated[
    str,
    typer.Option("--preprocessing", help="inside: take uint8 pixels, and normalise them in the graph (onnx, int8)."),
]
CalibratedOn = Annotated[
    str | None,
    typer.Option("--data", help="Data to calibrate int8 with and to test it on; by default those of the training."),
]
CalibrationImages = Annotated[int, typer.Option(help="The training images that int8 is calibrated with.")]
Card = Annotated[bool, typer.Option("--card/--no-card", help="Write a model card next to an exported network.")]


def export(
    what: What,
    assignments: NetworkOptions = None,
    to: Formats = "",
    out: Out = None,
    fold_bn: FoldNorms = False,
    force: Force = False,
    input: ImageShape = None,
    untrained: Untrained = False,
    card: Card = True,
    weights: WeightsFile = None,
    half: Half = False,
    softmax: Softmax = False,
    preprocessing: Inside = "outside",
    data: CalibratedOn = None,
    calibration_images: CalibrationImages = 200,
) -> None:
    """Export an architecture or a network to files for other tools, read each file back, and compare its output.

    \b
    json, yaml, notation, svg, png, dot  the architecture or a space, and its drawing
    source, torch-export, safetensors    a network: Python that needs only torch; a program; weights
    onnx, int8                           for onnxruntime and others; in 8 bits, with what that costs
    executorch                           for phones and boards, with XNNPACK
    """
    from nas.export.exporting import export as export_all
    from nas.export.format import formats_named
    from nas.export.subject import Calibration, ExportRequest, is_inside
    from nas.runs.architecture import shape_of
    from nas.terminal.show_export import show_export

    shape, inside = None if input is None else shape_of(input), is_inside(preprocessing)
    graph = untrained, fold_bn, weights, half, softmax, inside, Calibration(data, calibration_images)
    asked = ExportRequest(what, assignments or [], shape, *graph)
    console = terminal()
    with telling(console) as say:
        done = export_all(asked, formats_named(to), out, force, card, say)
    show_export(done, console)
    if done.differing:
        raise typer.Exit(1)
