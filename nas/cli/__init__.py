"""The command line. Each command imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import errno
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Annotated

import typer

from nas.cli import streams
from nas.cli.comparing import compare, correlate
from nas.cli.converting import convert
from nas.cli.dashboard import dashboard
from nas.cli.exporting import export
from nas.cli.inspecting import inspect
from nas.cli.measuring import latency
from nas.cli.reporting import report
from nas.cli.resuming import resume
from nas.cli.searching import reproduce, search
from nas.cli.showing import list_, profile, show, table
from nas.cli.training import measure, prune, train, transfer
from nas.runtime import stopping

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Search neural architectures, train and compare the results, and reproduce published searches.",
    epilog="Begin with: nas search quickstart",
)

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)

COMMANDS: dict[str, Callable[..., None]] = {
    "search": search,
    "resume": resume,
    "show": show,
    "table": table,
    "list": list_,
    "profile": profile,
    "latency": latency,
    "train": train,
    "test": measure,
    "inspect": inspect,
    "transfer": transfer,
    "prune": prune,
    "reproduce": reproduce,
    "compare": compare,
    "correlate": correlate,
    "convert": convert,
    "export": export,
    "report": report,
    "dashboard": dashboard,
}

PRINTING = ("show", "table", "list", "profile", "latency", "test", "inspect", "compare", "correlate")
"""The commands whose only work is to print: they end where their output is closed. The others continue without it."""

for _name, _command in COMMANDS.items():
    app.command(name=_name)(_command)


def _print_versions(is_asked: bool) -> None:
    if is_asked:
        from nas.runs.versions import describe_installation

        print(describe_installation())
        raise typer.Exit


@app.callback()
def begin(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_versions, help="Print versions, and where this is installed."
        ),
    ] = False,
) -> None:
    """Begin a command."""
    streams.need_output(context.invoked_subcommand in PRINTING)


def main() -> None:
    """Run the command line. An error that the user can fix, such as a full disk, is one line on stderr and exit code 2.

    A command that a signal ended has the exit code that a shell gives it, 130 for Ctrl-C, and no traceback.
    """
    streams.settle()
    warnings.formatwarning = lambda message, *_: f"nas: {message}\n"
    stop = stopping.listen()
    try:
        code = _run()
    except BaseException:  # also what the signal broke: its traceback is no news to the user
        if stop.number is None:
            raise
        code = stop.exit_code
    finally:
        stopping.ignore()
    is_stopped = stop.number is not None and (
        code != 0 or stop.number != signal.SIGINT
    )  # 0 where Ctrl-C is the normal end
    sys.exit(stop.exit_code if is_stopped else code)


def _run() -> int:
    """Run the command, and return its exit code."""
    from nas.records import RecordError

    try:
        try:
            app()
        finally:
            streams.flush()
    except SystemExit as ended:
        return int(ended.code or 0)
    except RecordError as error:
        return _refuse(str(error))
    except streams.OutputLost as lost:
        return (
            0 if lost.is_closed else _refuse(f"the output cannot be written ({lost.error.strerror}): send it elsewhere")
        )
    except OSError as error:
        return _refuse(_mendable(error))
    return 0


def _refuse(reason: str) -> int:
    print(f"nas: {reason}", file=sys.stderr)
    return 2


def _mendable(error: OSError) -> str:
    """Return what the user can do about an error of the operating system; raise it again where that is nothing."""
    if error.errno == errno.ENAMETOOLONG:
        return f"{str(error.filename)[:60]}... is no file: its name is too long for one"
    if error.errno not in UNWRITABLE:
        raise error
    place = f"{error.filename} cannot be written" if error.filename else "a file cannot be written"
    return f"{place} ({error.strerror}): make room, or give another folder; nas resume continues a run"
