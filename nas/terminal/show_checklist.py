"""Terminal output of the checklist for research on NAS."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from nas.report.summary.checklist import checklist_of


def show_checklist(folder: Path, as_json: bool, console: Console) -> None:
    """Print the checklist of a search, filled with what its folder says."""
    items = checklist_of(folder)
    if as_json:
        print(json.dumps([{**asdict(each), "is_known": each.is_known} for each in items], indent=1))
        return
    heading = ""
    console.print("After Lindauer and Hutter 2020 (arXiv:1909.02453)", style="dim", soft_wrap=True)
    for each in items:
        if each.heading != heading:
            heading = each.heading
            console.print(heading, style="bold")
        answer = Text(each.answer, "" if each.is_known else "yellow")
        console.print(Text.assemble(f"  {each.question}: ", answer), soft_wrap=True)
