"""What operating systems, file servers and editors leave in folders and archives; it is never an image nor a class."""

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
    """Whether a file or folder of a name, without its path, is to be passed over: hidden ones, and those that begin with ~$."""
    return name.startswith((".", "~$")) or name.casefold() in NAMES


def is_below_leftover(path: str) -> bool:
    """Whether a path in an archive, with / between its parts, is a leftover, or below one."""
    return any(is_leftover(part) for part in path.split("/") if part not in (".", ".."))
