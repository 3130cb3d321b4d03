"""The commands that show runs, architectures, what the library offers, and costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import ARCH, ArchitectureName, AsJson, ImageShape, NetworkOptions, terminal
from nas.runtime.stopping import listener

Watch = Annotated[
    bool, typer.Option("--watch", help="Update the view of a search every few seconds, until no process works on it.")
]
Checklist = Annotated[
    bool,
    typer.Option("--checklist", help="Print a checklist for papers, filled with what the folder of a search says."),
]


def show(
    what: Annotated[str, typer.Argument(metavar="RUN|ARCH", help=ARCH)],
    watch: Watch = False,
    as_json: AsJson = False,
    checklist: Checklist = False,
) -> None:
    """Show the progress or the results of a run, or an architecture and its costs."""
    if checklist:
        from nas.terminal.show_checklist import show_checklist

        show_checklist(Path(what), as_json, terminal())
        return
    if as_json:
        from nas.terminal.as_json import print_json

        print_json(what)
        return
    from nas.places import is_there
    from nas.records import RecordError
    from nas.terminal.profile_table import show_architecture
    from nas.terminal.show_run import show_run, watch_run
    from nas.terminal.show_training import show_training, show_transfer

    console = terminal()
    if is_there(Path(what) / "experiment.yaml"):
        with listener().once():
            (watch_run if watch else show_run)(Path(what), console)
    elif watch:
        raise RecordError(f"--watch is for the run folder of a search, and {what} is not one: leave --watch out")
    elif is_there(Path(what) / "training.yaml"):
        show_training(Path(what), console)
    elif is_there(Path(what) / "transfer.yaml"):
        show_transfer(Path(what), console)
    elif journals := sorted(path.name for path in Path(what).glob("*.jsonl")) if is_there(Path(what)) else []:
        raise RecordError(
            f"{what} has {' and '.join(journals)}, but no experiment.yaml, training.yaml or transfer.yaml, which declares the "
            "run: put that file back"
        )
    else:
        show_architecture(what, console)


def table(
    run: Annotated[Path, typer.Argument(help="The run folder of a search.")],
    as_json: AsJson = False,
) -> None:
    """Print the evaluations of a search as CSV, one row each: scores, origin, state, architecture.

    For a spreadsheet or pandas: nas table RUN > runs.csv
    """
    from nas.terminal.as_json import print_table

    print_table(run, as_json)


def list_(
    what: Annotated[
        str | None, typer.Argument(help="spaces, networks, strategies, methods, ...; by default all of them.")
    ] = None,
) -> None:
    """List what the library offers: spaces, published networks, strategies, supernet methods, evaluators, data, operations,
    executors, loggers, experiments."""
    from nas.terminal.show import show_list

    show_list(what, terminal())


def profile(
    architecture: ArchitectureName,
    assignments: NetworkOptions = None,
    input: ImageShape = None,
    against: Annotated[str | None, typer.Option(help="Another architecture to compare with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print parameters, multiply-adds, memory and receptive field, layer by layer, without allocating the network.

    The architecture may also be given in notation: nas profile "conv3-64 x2 pool3 residual\\[conv3 conv3] x3-128"
    """
    from nas.terminal.profile_table import ProfileRequest, show_profile

    show_profile(ProfileRequest(architecture, assignments or [], input), against, as_json, terminal())
