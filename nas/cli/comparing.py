"""The commands that compare searches over their seeds, and scores over architectures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import AsJson, terminal


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of nas reproduce, with many seeds, or of nas search."),
    ],
    metric: Annotated[
        str | None, typer.Option(help="The score to compare, such as test_top1_percent; by default the objective.")
    ] = None,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="A page to write, with the curves.")] = None,
) -> None:
    """Compare searches: means with intervals, the best so far against evaluations and seconds, and tests paired by seed.

    Seconds are simulated ones where the search was on a table.

    nas compare runs/reproduce-nasbench201-random_search runs/reproduce-nasbench201-local_search --html compared.html
    """
    from nas.report.html.compared import write_compared
    from nas.report.html.page import check_target
    from nas.report.summary.compared import compare_searches
    from nas.terminal.show_compared import print_comparison, print_comparison_json

    if html is not None:
        check_target(html, may_replace=False, repair="give another --html")
    compared = compare_searches(runs, metric)
    if html is not None:
        write_compared(html, compared)
    if as_json:
        print_comparison_json(compared)
        return
    console = terminal()
    print_comparison(compared, console)
    if html is not None:
        console.print(f"Page: {html}", soft_wrap=True)


def correlate(
    run: Annotated[Path, typer.Argument(help="Folder of a search, whose evaluations have several scores.")],
    truth: Annotated[
        str | None, typer.Option("--with", help="The score to predict, as test_top1_percent; by default the objective.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Correlate the scores of a search's evaluations with one of them: how well do proxies rank architectures?

    Spearman's and Kendall's rank correlations with 95 % intervals, over all architectures and within the best fifth, where a
    search has to choose. With synflow, jacob_cov and snip their majority vote is a row, too.

    nas search nasbench201/proxies --run-dir runs/proxies; nas correlate runs/proxies
    """
    import json

    from nas.runs.correlation import as_plain, correlate_run
    from nas.terminal.show_correlations import print_correlations

    found = correlate_run(run, truth)
    if as_json:
        print(json.dumps(as_plain(found), indent=1))
    else:
        print_correlations(found, terminal())
