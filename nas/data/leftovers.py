"""Files and folders left behind by operating systems, file servers and editors; they are never images nor classes."""

from __future__ import annotations

NAMES = frozenset(
    name.casefold()
    for name in (
        "$RECYCLE.BIN",
        "@eaDir",  # Synology, as are @tmp, #recycle and #snapshot
        "@tmp",
        "#recycle",
        "#snapshot",
        "@Recycle",  # QNAP
        "@Recently-Snapshot",
        "__MACOSX",  # in archives made on macOS
        "__pycache__",
        "~snapshot",  # NetApp
        "desktop.ini",
        "ehthumbs.db",
        "found.000",
        "lost+found",
        "LOST.DIR",
        "Network Trash Folder",
        "RECYCLED",
        "RECYCLER",
        "System Volume Information",
        "Temporary Items",
        "Thumbs.db",
    )
)


def is_leftover(name: str) -> bool:
    """Return whether a file or folder name is to be skipped: names that are known, hidden, or begin with ~$."""
    return name.startswith((".", "~$")) or name.casefold() in NAMES


def is_below_leftover(path: str) -> bool:
    """Return whether a path in an archive, with / as separator, is a leftover or below one."""
    return any(is_leftover(part) for part in path.split("/") if part not in (".", ".."))
