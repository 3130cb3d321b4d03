"""PNG: renders an SVG to pixels by resvg, which needs neither a browser nor cairo."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from nas.records import RecordError

FONTS = sorted((Path(__file__).parent / "fonts").glob("*.ttf"))
"""DejaVu Sans, regular and bold, for Latin, Greek and mathematics: with it, a PNG is the same on every machine."""


def to_png(svg_text: str, path: Path | str, scale: float = 2, dark: bool = False) -> Path:
    """Render SVG text to a PNG of `scale` times its size and return the path; `dark` needs an SVG with both themes.

    Raises RecordError where resvg-py, in the extra `export`, is not installed.
    """
    try:
        resvg = import_module("resvg_py")
    except ImportError as error:
        raise RecordError(f"resvg-py is not installed ({error}): pip install 'cellstack[export]'") from error
    if dark:  # drop the media query around the dark rules, so that they always apply
        svg_text = re.sub(
            r"@media \(prefers-color-scheme:\s?dark\)\s?\{(.*)\}(?=</style>)", r"\1", svg_text, flags=re.S
        )
    written = Path(path)
    pixels = resvg.svg_to_bytes(
        svg_string=svg_text,
        zoom=scale,
        font_files=list(map(str, FONTS)),
        skip_system_fonts=True,
        sans_serif_family="DejaVu Sans",
    )
    written.write_bytes(bytes(pixels))
    return written
