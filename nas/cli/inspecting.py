"""The command that inspects trained networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import Checkpoint, TestedOn, telling, terminal

Page = Annotated[Path | None, typer.Option(help="A page to write, with the pictures.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Only = Annotated[
    str | None, typer.Option(help="Methods, separated by commas, as saliency,grad_cam (nas list inspections).")
]
Images = Annotated[int, typer.Option(min=2, help="The number of test images.")]
Image = Annotated[
    int | None, typer.Option(min=0, help="The number of the test image that maps are shown of; by default four images.")
]


def inspect(
    checkpoint: Checkpoint,
    on: TestedOn = None,
    html: Page = None,
    as_json: AsJson = False,
    only: Only = None,
    images: Images = 1000,
    image: Image = None,
) -> None:
    """Inspect a trained network: its filters, feature maps, what it looks at, its mistakes, and what each layer knows.

    Saliency, guided backpropagation, occlusion, Grad-CAM, the patches and images that units respond to, linear probes, shifted
    images, receptive fields, the confusion matrix and calibration. The page loads nothing from the network.

    nas inspect runs/quickstart-20260101-120000 --html inspected.html
    """
    from nas.plain import write
    from nas.report.html.inspected import write_inspected
    from nas.report.html.page import check_target
    from nas.runs.inspect_weights import InspectRequest, inspect_weights
    from nas.terminal.show_inspection import show_inspection

    if html is not None:
        check_target(html, may_replace=False, repair="give another --html")
    names = tuple(part.strip() for part in only.split(",")) if only else ()
    console = terminal()
    with telling(console, is_silent=as_json) as say:
        found = inspect_weights(InspectRequest(checkpoint, on, images, image, names), say)
        if html is not None:
            say("writing the page")
            write_inspected(html, found)
    if as_json:
        print(write(found.as_plain()))
        return
    show_inspection(found, console)
    if html is not None:
        console.print(f"Page: {html}  ({html.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
