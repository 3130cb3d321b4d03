"""The output of the commands: it is written in any encoding, and its loss does not end the work.

A pipe whose reader has gone, a full disk, a closed terminal and an output that was closed from the start are the same to a
command with other work: it continues in silence. A command that only prints ends instead.
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
    **{chr(code): "*" for code in range(0x2800, 0x2900)},  # braille patterns, as in spinners
}
"""The characters beyond ASCII that the commands print, with their replacements where the encoding lacks them."""

STDOUT, STDERR = 1, 2

READABLE = "nas-readable"
"""The name of the error handler that replaces a character that the encoding lacks by ASCII."""


class OutputLost(Exception):
    """The error of output that cannot be written any more, but is needed; `error` is the reason."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def is_closed(self) -> bool:
        """Whether the reader has closed the output, as `head` does, which is no error."""
        return self.error.errno == errno.EPIPE


@final
class Output(io.FileIO):
    """A file descriptor to write to; once writing has failed, everything further is discarded."""

    def __init__(self, number: int, is_needed: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.is_needed = is_needed

    def write(self, data: object) -> int:
        """Write bytes. Raises OutputLost once, where they cannot be written and the output is needed."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            # the descriptor itself is redirected, so that what is still buffered is discarded too, without a second error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if self.is_needed:
                raise OutputLost(error) from None
            if self.fileno() == STDOUT and error.errno not in (errno.EPIPE, errno.EIO):  # EIO: the terminal is gone
                print(f"nas: the output cannot be written ({error.strerror}): continuing without it", file=sys.stderr)
            return memoryview(data).nbytes  # type: ignore[arg-type]


def settle() -> None:
    """Let the standard streams take any text, and open those that were closed; streams that were replaced stay as they are."""
    _occupy()
    codecs.register_error(READABLE, _readable)
    for number, name in ((STDOUT, "stdout"), (STDERR, "stderr")):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and _output_of(stream) is None:
            settled = _settled(stream, number)
            setattr(sys, name, settled)
            setattr(sys, f"__{name}__", settled)


def need_output(is_needed: bool) -> None:
    """Set whether the command ends where its output is lost."""
    if (output := _output_of(sys.stdout)) is not None:
        output.is_needed = is_needed


def flush() -> None:
    """Flush the standard streams. Raises OutputLost where that fails and the output is needed."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _output_of(stream: TextIO | None) -> Output | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Output) else None


def _occupy() -> None:
    """Open the null device as each closed standard stream: else the next file, perhaps a journal, would get its descriptor."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(number, True)
    os.close(number)


def _settled(stream: TextIO | None, number: int) -> TextIO:
    """Return a stream like the given one that writes any character and survives the loss of its reader."""
    if stream is not None:
        stream.flush()
    buffer = io.BufferedWriter(Output(number, is_needed=number == STDOUT))
    encoding = "utf-8" if stream is None else stream.encoding
    by_line = number == STDERR or (stream is not None and (stream.isatty() or "PYTHONUNBUFFERED" in os.environ))
    return io.TextIOWrapper(buffer, encoding, READABLE, line_buffering=by_line)


def _readable(error: UnicodeError) -> tuple[str, int]:
    """Replace, for the codec, the characters that it lacks: known ones by a look-alike, others by their code point."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(IN_ASCII.get(each) or _numbered(each) for each in lacking), error.end


def _numbered(character: str) -> str:
    """Return a character as JSON and Python escape it; a byte of a file name that is no text, as that byte."""
    code = ord(character)
    # surrogates by which Python decodes such bytes
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
