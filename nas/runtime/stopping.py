"""Stopping: Ctrl-C, SIGTERM and a closed terminal end a command in the same way, however often they are sent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""The signals that end a command; a closed terminal sends SIGHUP, which Windows does not have."""


@final
class Stopped(KeyboardInterrupt):
    """The KeyboardInterrupt of a signal that ends a command.

    A separate class, since CPython remembers a plain KeyboardInterrupt that leaves code run by `exec`, such as the definition of
    a dataclass. It then ends `python -m nas` as if by SIGINT, although the exception was handled.
    """


@final
class Stop:
    """The handler of the signals that end a command: the first one raises Stopped.

    Inside `once` all further signals are ignored, so that they do not interrupt the clean-up after the first one, when workers
    are ended and files closed. Outside, where nothing has begun, a signal during an import ends the process at once.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._process = os.getpid()
        self._is_once = False

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        if os.getpid() != self._process:
            os._exit(0)  # a forked worker: its parent gets the signal too, and would take another code for a failure
        is_first, self.number = self.number is None, self.number or number
        if not self._is_once and _is_importing(frame):
            os._exit(self.exit_code)  # an exception inside torch's C++ initialisation would call std::terminate
        if is_first or not self._is_once:
            raise Stopped

    @property
    def exit_code(self) -> int:
        """The exit code of a command that a signal ended, as in a shell: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.number or signal.SIGINT)

    @contextmanager
    def once(self) -> Iterator[None]:
        """Let only the first signal act; where there was one, signals after the block are ignored too."""
        self._is_once = True
        try:
            yield
        finally:
            self._is_once = self.number is not None

    def check(self) -> None:
        """Raise Stopped where a signal arrived and its exception was lost, as in the code of a candidate."""
        if self.number is not None:
            raise Stopped


def _is_importing(frame: FrameType | None) -> bool:
    # the code of importlib, which is frozen into the interpreter, is on the stack during any import
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def listen() -> Stop:
    """Install the handler of the signals that end a command; an ignored signal, such as SIGHUP under nohup, stays ignored."""
    stop = Stop()
    if threading.current_thread() is threading.main_thread():
        for each in SIGNALS:
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, stop)
    return stop


def listener() -> Stop:
    """Return the installed handler; where there is none, as in a script, one that receives no signals."""
    handlers = [signal.getsignal(each) for each in SIGNALS]
    return next((each for each in handlers if isinstance(each, Stop)), Stop())


def ignore() -> None:
    """Ignore the signals that end a command, once it has ended."""
    if threading.current_thread() is threading.main_thread():
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Restore the signal handlers that the block replaces: those of Ray would end the process inside C++."""
    before = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for each, handler in before.items():
                if callable(handler):
                    signal.signal(each, handler)


@contextmanager
def hang_up_ignored() -> Iterator[None]:
    """Let processes that the block starts ignore the end of the terminal: this process ends them."""
    with _ignored("SIGHUP"):
        yield


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Let processes that the block starts ignore Ctrl-C and the end of the terminal: this process ends them."""
    with _ignored("SIGINT", "SIGHUP"):
        yield


@contextmanager
def _ignored(*names: str) -> Iterator[None]:
    """Ignore signals within the block; processes that it starts inherit that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
