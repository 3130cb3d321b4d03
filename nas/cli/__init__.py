"""The command line. Each command imports what it needs, so that help is there at once."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Callable

import typer

from nas.cli.dashboard import dashboard
from nas.cli.exporting import export
from nas.cli.reporting import report
from nas.cli.resuming import resume
from nas.cli.searching import reproduce, search
from nas.cli.showing import list_, profile, show
from nas.cli.training import measure, train, transfer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Search neural architectures, look at what was found, and reproduce published searches.",
    epilog="Begin with: nas search experiments/quickstart.yaml",
)

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)

COMMANDS: dict[str, Callable[..., None]] = {
    "search": search,
    "resume": resume,
    "show": show,
    "list": list_,
    "profile": profile,
    "train": train,
    "test": measure,
    "transfer": transfer,
    "reproduce": reproduce,
    "export": export,
    "report": report,
    "dashboard": dashboard,
}

for _name, _command in COMMANDS.items():
    app.command(name=_name)(_command)


def main() -> None:
    """Run the command line; what the user can mend, as a full disk, is one line on stderr and exit code 2."""
    from nas.records import RecordError

    warnings.formatwarning = lambda message, *_: f"nas: {message}\n"
    try:
        app()
    except RecordError as error:
        print(f"nas: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # as in `nas list | head`
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            print(f"nas: {str(error.filename)[:60]}... is no file: its name is too long for one", file=sys.stderr)
            sys.exit(2)
        if error.errno not in UNWRITABLE:
            raise
        place = f"{error.filename} cannot be written" if error.filename else "a file cannot be written"
        print(
            f"nas: {place} ({error.strerror}): make room, or give another folder; a run goes on with nas resume",
            file=sys.stderr,
        )
        sys.exit(2)
