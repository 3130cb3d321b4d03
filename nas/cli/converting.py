"""The command that converts the official files of benchmarks to tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import terminal


def convert(
    format: Annotated[
        str, typer.Argument(metavar="FORMAT", help="The benchmark that FILE is of: see above, or nas list tables.")
    ],
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The official file or, for nats_bench, also folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The table to write: .npz, .parquet or .csv.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Convert the official file of a tabular benchmark to a table, on which the evaluator Table searches.

    No code in a file is run: a pickle that wants to is refused. The table has a row an architecture, and a column for each data
    set, number of epochs and seed, for their means, and for costs.

    \b
    nasbench201         NAS-Bench-201-v1_1-096897.pth, or that of v1_0
    nats_bench          NATS-tss-v1_0-3ffb9-simple, NATS-sss-..., or .pickle.pbz2
    nasbench101         nasbench_full.tfrecord or nasbench_only108.tfrecord
    nasbench101_json    the means of NAS-Bench-101 in JSON, as of CTNAS
    nasbench101_naslib  nasbench_only108.pkl of NASLib
    transnasbench101    transnas-bench_v10141024.pth

    \b
    nas convert nats_bench NATS-tss-v1_0-3ffb9-simple nasbench201.npz
    nas convert nasbench101 nasbench_full.tfrecord nasbench101.parquet
    """
    from nas.terminal.show_conversion import convert_and_show

    convert_and_show(format, source, out, force, terminal())
