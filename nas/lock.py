"""The locks of journals and run folders: one process writes, and readers see at once whether a run is alive."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from nas.records import RecordError

if sys.platform != "win32":
    import fcntl

SECONDS_FOR_READERS = 0.5
"""Seconds to wait for the lock of a journal, which a reader holds for a moment, before another writer is assumed."""


def hold(opened: int, path: Path) -> None:
    """Lock a file or folder, by its descriptor, until it is closed or this process ends in any way.

    A reader locks it for a moment too, to test whether a run is alive; a writer waits for that. Nothing is locked where the file
    system has no locks. Raises RecordError where another process writes.
    """
    if sys.platform == "win32":
        return
    until = monotonic() + SECONDS_FOR_READERS
    while True:
        try:
            return fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > until:
                raise RecordError(
                    f"{path} is being written by another process: wait for that run, or stop it"
                ) from None
            sleep(0.01)
        except OSError:
            return  # some network file systems have no locks


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a run folder until the block or this process ends in any way; no lock where the system has none.

    A journal is locked during its phase; this lock also covers the time before, between and after the phases.
    Raises RecordError where another process holds it.
    """
    if sys.platform == "win32":
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        hold(opened, folder)
        yield
    finally:
        os.close(opened)


def is_held(folder: Path, journals: Iterable[Path]) -> bool | None:
    """Whether a process works on a run, by the locks on its folder and journals; None where the system has no locks."""
    locked = [_is_locked(path) for path in (folder, *journals)]
    return True if True in locked else None if None in locked else False


def _is_locked(path: Path) -> bool | None:
    if sys.platform == "win32":
        return None
    try:
        opened = os.open(path, os.O_RDONLY)
    except OSError:
        return None  # it may belong to another user, or have just been renamed
    try:
        # A shared lock fails only where a writer holds the exclusive one; readers do not block one another.
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(opened)
    return False


@contextmanager
def waited_for(path: Path) -> Iterator[None]:
    """Lock a file within the block, and wait for it as long as another process has it; no lock where the system has none."""
    with path.open("a") as file:
        if sys.platform != "win32":
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file releases the lock
