"""Simulated clusters on NAS-Bench-201 at equal hours: the tables of docs/tables.md and docs/pictures/asynchrony.svg.

    NAS_DATA=FOLDER python tools/asynchrony.py runs/asynchrony

Left: ageing evolution with 1, 8 and 32 workers, by the validation accuracy after 12 epochs, for two hours. Right: eight workers
for 20 hours, with trainings of 12 or 200 epochs: random search, halving (ASHA), and halving around evolution, by the validation
accuracy after 200 epochs. 100 seeds each, two minutes on two CPU cores; seeds that the folder has are not searched again. The
picture needs matplotlib, which is no dependency of the library.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from nas.runs.experiment import load
from nas.runs.reproduce import reproduce
from nas.runs.seed_journal import kept
from nas.runs.seeds import Anytime, scores_at

SEEDS, TEST = 100, "cifar10_test_top1_percent"
EVOLUTION = "RegularizedEvolution: {population: 10, sample: 3}"


@dataclass(frozen=True)
class Panel:
    """Searches for the same time on the simulated clock: assignments to an experiment by the name of a curve."""

    experiment: str
    title: str
    hours: float
    searches: Mapping[str, Sequence[str]]
    bottom: float
    """The lowest accuracy that is drawn, in percent."""

    def shown_hours(self) -> list[float]:
        """Return an eighth, a quarter, half and the whole of the time."""
        return [self.hours / 8, self.hours / 4, self.hours / 2, self.hours]


PANELS = (
    Panel(
        "nasbench201/regularized_evolution",
        "ageing evolution, trainings of 12 epochs",
        2,
        {
            f"{n} worker{'s' * (n > 1)}": [f"executor={{Simulated: {{workers: {n}}}}}", "rules.budget={hours: 2}"]
            for n in (1, 8, 32)
        },
        78,
    ),
    Panel(
        "nasbench201/asha_8_workers",
        "eight workers, trainings of 12 or 200 epochs",
        20,
        {
            "random, 200 epochs": ["strategy=RandomSearch"],
            "ASHA": [],
            "ASHA around evolution": [f"strategy={{SuccessiveHalving: {{epochs: [12, 200], of: {{{EVOLUTION}}}}}}}"],
        },
        90,
    ),
)


def means_after(curves: Sequence[Anytime], hours: Sequence[float]) -> list[float | None]:
    """Return the mean of the best accuracies after some hours, None where a seed has none yet."""
    by_seed = [scores_at(curve, [3600 * each for each in hours], by_seconds=True) for curve in curves]
    return [
        None if None in best else fmean(each for each in best if each is not None)
        for best in zip(*by_seed, strict=True)
    ]


def searched(panel: Panel, out: Path) -> dict[str, tuple[list[Anytime], list[float]]]:
    """Search with every seed that the folder has not; return the curves and the final test accuracies by name."""
    found = {}
    for name, assignments in panel.searches.items():
        folder = out / name.replace(" ", "_").replace(",", "")
        reproduce(load(panel.experiment, assignments), SEEDS, lambda done: None, folder, workers=None)
        results = kept(folder).values()
        found[name] = [each.anytime for each in results], [each.scores[TEST] for each in results]
    return found


def table(panel: Panel, found: Mapping[str, tuple[list[Anytime], list[float]]]) -> str:
    """Return the final test accuracy, and the mean best so far, as rows of Markdown."""
    rows = ["| search | test | " + " | ".join(f"{hours:g} h" for hours in panel.shown_hours()) + " |", "|---" * 6 + "|"]
    for name, (curves, tests) in found.items():
        means = means_after(curves, panel.shown_hours())
        shown = " | ".join("none yet" if mean is None else f"{mean:.2f}" for mean in means)
        rows.append(f"| {name} | {fmean(tests):.2f} ± {stdev(tests):.2f} | {shown} |")
    return "\n".join(rows)


def draw(found: Sequence[Mapping[str, tuple[list[Anytime], list[float]]]], file: Path) -> None:
    """Draw the mean best validation accuracy against simulated hours, one panel for each group of searches."""
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]
    from matplotlib.ticker import NullLocator  # type: ignore[import-not-found, unused-ignore]

    pyplot.rcParams["svg.hashsalt"] = "asynchrony"  # the same file in every run
    figure, both = pyplot.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for panel, searches, axes in zip(PANELS, found, both, strict=True):
        hours, highest = [panel.hours * (step / 400) ** 2 for step in range(40, 401)], panel.bottom
        for name, (curves, _) in searches.items():
            means = zip(hours, means_after(curves, hours), strict=True)
            known = [(each, mean) for each, mean in means if mean is not None]
            axes.plot(*zip(*known, strict=True), label=name)
            highest = max(highest, known[-1][1])
        axes.set(title=panel.title, xlabel="hours on the simulated clock", ylabel="best validation accuracy, %")
        axes.set(xscale="log", xlim=(panel.hours / 100, panel.hours))
        axes.set_ylim(panel.bottom, highest + 0.05 * (highest - panel.bottom))
        axes.set_xticks([panel.hours / part for part in (100, 40, 20, 8, 4, 2, 1)])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, loc="lower right")
    figure.savefig(file, metadata={"Date": None})


def main(out: Path) -> None:
    """Search, print both tables, and draw."""
    out.mkdir(parents=True, exist_ok=True)
    found = [searched(panel, out) for panel in PANELS]
    for panel, searches in zip(PANELS, found, strict=True):
        print(table(panel, searches), end="\n\n")
    draw(found, out / "asynchrony.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
