"""The command line. Each command imports what it needs, so that help is there at once."""

from __future__ import annotations

import sys

import typer

from nas.cli.resuming import resume
from nas.cli.searching import reproduce, search
from nas.cli.showing import list_, profile, show
from nas.cli.training import test_, train, transfer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Search neural architectures, look at what was found, and reproduce published searches.",
    epilog="Begin with: nas search experiments/quickstart.yaml",
)

for _command in (search, resume, show, list_, profile, train, test_, transfer, reproduce):
    app.command(name=_command.__name__.rstrip("_"))(_command)


def main() -> None:
    """Run the command line; what the user can mend is one line on stderr and exit code 2."""
    from nas.record import RecordError

    try:
        app()
    except RecordError as error:
        print(f"nas: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # as in `nas list | head`
        sys.stderr.close()
        sys.exit(0)
