"""The output of the commands: it is written in any encoding, and losing it does not end the work.

A pipe whose reader has gone, a full disk, a terminal that was closed and an output that was closed from the start are the same
to a command that works on something: it goes on in silence. A command that does nothing but print ends instead.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import TextIO, final

IN_ASCII = {
    "±": "+-",
    "→": "->",
    "…": "...",
    **dict.fromkeys("“”", '"'),
    "×": "x",  # noqa: RUF001
    "·": ".",
    "–": "-",  # noqa: RUF001
    "—": "-",
    "²": "^2",
    "³": "^3",
    "β": "beta",
    "µ": "u",
    **dict(zip("▁▂▃▄▅▆▇█", "_.:-=+*#", strict=True)),
    **dict.fromkeys("━╸╺─", "-"),
    **dict.fromkeys("│┃", "|"),
    **{chr(code): "*" for code in range(0x2800, 0x2900)},  # what a spinner is made of
}
"""What the commands print beyond ASCII, and how that is written where the encoding has no such character."""

STDOUT, STDERR = 1, 2

READABLE = "nas-readable"
"""The name of the error handler that writes a character that the encoding lacks in ASCII."""


class OutputLost(Exception):
    """Says that what a command prints reaches nobody any more; `error` is the reason."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def is_closed(self) -> bool:
        """Whether the reader wanted no more, as `head` does, which is no fault."""
        return self.error.errno == errno.EPIPE


@final
class Output(io.FileIO):
    """A file descriptor that is written to; where it cannot be written any more, nothing is from then on."""

    def __init__(self, number: int, is_needed: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.is_needed = is_needed

    def write(self, data: object) -> int:
        """Write bytes. Raises OutputLost once where they cannot be written, if the output is needed."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if self.is_needed:
                raise OutputLost(error) from None
            if self.fileno() == STDOUT and error.errno not in (errno.EPIPE, errno.EIO):
                print(f"nas: the output cannot be written ({error.strerror}): going on without it", file=sys.stderr)
            return memoryview(data).nbytes  # type: ignore[arg-type]


def settle() -> None:
    """Let the standard streams take any text, and open those that were closed; streams that are no longer the process's stay."""
    _occupy()
    codecs.register_error(READABLE, _readable)
    for number, name in ((STDOUT, "stdout"), (STDERR, "stderr")):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and _output_of(stream) is None:
            settled = _settled(stream, number)
            setattr(sys, name, settled)
            setattr(sys, f"__{name}__", settled)


def need_output(is_needed: bool) -> None:
    """Say whether the command ends where its output is lost."""
    if (output := _output_of(sys.stdout)) is not None:
        output.is_needed = is_needed


def flush() -> None:
    """Write what is still in memory. Raises OutputLost where that is impossible, and the output is needed."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _output_of(stream: TextIO | None) -> Output | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Output) else None


def _occupy() -> None:
    """Open the null device as each standard stream that is closed: else the next file, perhaps a journal, would be it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(number, True)
    os.close(number)


def _settled(stream: TextIO | None, number: int) -> TextIO:
    """Return a stream as the given one, that writes any character and outlives its reader."""
    if stream is not None:
        stream.flush()
    buffer = io.BufferedWriter(Output(number, is_needed=number == STDOUT))
    encoding = "utf-8" if stream is None else stream.encoding
    by_line = number == STDERR or (stream is not None and (stream.isatty() or "PYTHONUNBUFFERED" in os.environ))
    return io.TextIOWrapper(buffer, encoding, READABLE, line_buffering=by_line)


def _readable(error: UnicodeError) -> tuple[str, int]:
    """Return, for the codec, the characters that it lacks in ASCII: the commands' own by their look, others by their number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(IN_ASCII.get(each) or _numbered(each) for each in lacking), error.end


def _numbered(character: str) -> str:
    """Return a character as JSON and Python write it; a byte of a file name that is no text as that byte."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
