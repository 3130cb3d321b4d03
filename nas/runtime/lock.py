"""The lock of a run folder: one process works on a run, and whoever looks at it knows at once whether that process lives."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.history import hold

if sys.platform != "win32":
    import fcntl


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a run folder until the block ends, or this process does in whatever way; no lock where the system has none.

    A journal is locked while its phase lasts; this lock also spans the time before, between and after the phases.
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
        return None  # it may be somebody else's, or have been renamed just now
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(opened)
    return False
