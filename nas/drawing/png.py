"""PNG: renders an SVG to pixels by resvg, which needs neither a browser nor cairo."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from nas.records import RecordError


def to_png(svg_text: str, path: Path | str, scale: float = 2, dark: bool = False) -> Path:
    """Render SVG text to a PNG of `scale` times its size and return the path; `dark` needs an SVG with both themes.

    Raises RecordError where resvg-py, in the extra `report`, is not installed.
    """
    try:
        resvg = import_module("resvg_py")
    except ImportError as error:
        raise RecordError(f"resvg-py is not installed ({error}): pip install 'cellstack[report]'") from error
    if dark:  # drop the media query around the dark rules, so that they always apply
        svg_text = re.sub(
            r"@media \(prefers-color-scheme:\s?dark\)\s?\{(.*)\}(?=</style>)", r"\1", svg_text, flags=re.S
        )
    fonts = _fonts()
    written = Path(path)
    pixels = resvg.svg_to_bytes(
        svg_string=svg_text,
        zoom=scale,
        font_files=fonts,
        skip_system_fonts=bool(fonts),
        sans_serif_family="DejaVu Sans",
    )
    written.write_bytes(bytes(pixels))
    return written


def _fonts() -> list[str]:
    """Return the DejaVu Sans files of matplotlib, if installed: with them, a PNG is the same on every machine."""
    found = find_spec("matplotlib")
    folder = None if found is None or found.origin is None else Path(found.origin).parent / "mpl-data/fonts/ttf"
    return [str(path) for path in sorted(folder.glob("DejaVuSans*.ttf"))] if folder is not None else []
