"""The catalogue: a page of all that the library offers, with the costs of every network, generated from the code.

`make catalogue` writes docs/catalogue.md; a test compares it with the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from reproduced import README, section_of

from nas.family import Family, families
from nas.profiling import profile
from nas.runs.declared import experiments, recipes
from nas.runs.experiment import Expectation, load
from nas.runs.full_training import load_recipe
from nas.space import choices, count
from nas.terminal.show import sections

ROOT = Path(__file__).resolve().parents[1]

PAGE = ROOT / "docs" / "catalogue.md"

HEAD = """\
# Catalogue

All that the library offers, generated from the code by `make catalogue`. `nas list` prints the same names, and
`nas profile NAME` each layer of a network.
"""

LISTS = {
    "operations": "On the edges of cells; width and stride are those of the place. In brackets: the notation.",
    "layers": "Parts of blocks; they keep the width of their input unless they set another.",
    "topology": "Structures of layers: in sequence, in parallel, as a graph.",
    "strategies": "They propose the architectures to evaluate.",
    "controllers": "Policies of REINFORCE and PPO: see [strategies](strategies.md).",
    "methods": "Search with a supernet: see [supernets](supernets.md).",
    "evaluators": "They score architectures.",
    "proxies": "Scores of untrained networks, for the evaluator `Proxies`, by names such as `jacob_cov`.",
    "tables": "Official files of benchmarks that `nas convert` makes tables of: see [tables](tables.md).",
    "inspections": "Methods of `nas inspect`, in the order of its page: see [inspecting](inspecting.md).",
    "data": "Image data sets: see [training](training.md).",
    "optimizers": "Of a recipe, as `recipe.optimizer`: see [training](training.md).",
    "schedules": "Of the learning rate, as `recipe.schedule`.",
    "losses": "What a training minimises, as `recipe.loss`.",
    "initialisations": "Initial weights, as `recipe.initialisation`; by default torch's own.",
    "unlabelled": "Losses of images without labels, as `recipe.unlabelled`: see [training](training.md).",
    "executors": "They run the evaluations on workers.",
    "loggers": "Trackers that record a search too: see [watching](watching.md).",
}
"""The kinds of records that `nas list` prints, with an explanation of each."""


def catalogue() -> str:
    """Return the page as Markdown. Profiles every published network, which takes half a minute."""
    return "\n".join([HEAD, *(f"## {title}\n\n{text}" for title, text in parts())])


def parts(counted: Iterable[str] | None = None) -> Iterator[tuple[str, str]]:
    """Yield titles and texts of the page; of networks only those in `counted`, or all of them."""
    yield "Reproduced", _reproduced()
    yield "Spaces", _spaces()
    yield "Networks", "\n".join([NETWORKS, *network_rows(counted)]) + "\n"
    listed = sections("nas.")
    for title, text in LISTS.items():
        rows = (f"| {_escaped(name)} | {_escaped(line)} |" for name, line in listed[title])
        yield title.capitalize(), "\n".join([f"{text}\n", "| | |", "|---|---|", *rows]) + "\n"
    yield "Recipes", _recipes()


# ---------------------------------------------------------------------------------------------- reproduced numbers


def _reproduced() -> str:
    """Return published and own numbers: the README's table, then what each experiment states."""
    rows = [
        f"| {_linked(path)} | {_escaped(claim)} | {numbers(load(path).expect)} | {_escaped(run_of(path))} |"
        for path, (_, claim) in zip(experiments().values(), sections()["experiments"], strict=True)
    ]
    return "\n".join(
        [
            "Mean and standard deviation over seeds, own (expected); accuracies are in percent.\n",
            section_of(README.read_text(encoding="utf-8")),
            "\nWhat every experiment claims, and our runs of it:\n",
            "| experiment | | expected | run here |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _linked(path: Path) -> str:
    name = path.resolve().relative_to(ROOT / "experiments")
    return f"[{name.with_suffix('')}](../experiments/{name})"


TESTS = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet16_120": "ImageNet16-120",
    "top1": "",
    "top5": "top-5",
}
"""The readable names of the data sets or metrics in the names of scores."""


def numbers(expected: Mapping[str, Expectation]) -> str:
    """Return expected numbers with their readable names, as `CIFAR-10 93.92 ± 0.3`."""
    texts = []
    for name, each in expected.items():
        of = name.removesuffix("_percent").removesuffix("_test_top1").removeprefix("test_")
        texts.append(f"{TESTS.get(of, of.replace('_', ' '))} {each.text}".strip())
    return "; ".join(texts) or "none"


def run_of(path: Path) -> str:
    """Return the part of a file's header on the runs of it here."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header = " ".join(line.lstrip("# ").strip() for line in lines if line.startswith("#"))
    # from `Run here ...:` or `Measured once ...:` to the next field of the header
    if found := re.search(r"(?:Run here|Measured once)[^:]*: (.*?)(?= Hardware:| Source:| Needs |$)", header):
        return found[1][:1].upper() + found[1][1:]
    return "not at full size" if re.search("not run", header, re.IGNORECASE) else "yes; no number is published"


# ---------------------------------------------------------------------------------------------- spaces and networks


def _spaces() -> str:
    rows = [
        f"| `{name}` | {_count(each)} | {len(choices(each.space()))} | {_escaped(_open_in(each))} | {_escaped(each.source)} |"
        for name, each in families().items()
    ]
    return "\n".join(["| space | architectures | choices | | source |", "|---|---|---|---|---|", *rows, ""])


def _count(found: Family) -> str:
    number = count(found.space())
    return f"{number:,}" if number < 1e9 else f"{number:.2e}".replace("e+", "e")


def _open_in(found: Family) -> str:
    """Return which choices of a space are open, from the docstring of the function that makes it."""
    said = re.sub(r"^Return the space(:| of| in which)? ", "", _line(found.space))
    return said[:1].upper() + said[1:]


def _line(documented: Any) -> str:
    return (documented.__doc__ or "").strip().split("\n")[0]


NETWORKS = """\
Parameters and multiply-adds of convolutions, linear layers and attention for one image, without auxiliary heads; cells are
stacked as their family does by default. Tests compare with the expected numbers: printed by the source or counted from a
released definition (`tests/search_spaces/networks` says which; `tests/search_spaces/test_published_counts.py` for the cells).

| network | input | params | multiply-adds | expected | source |
|---|---|---|---|---|---|"""


def network_rows(names: Iterable[str] | None = None) -> Iterator[str]:
    """Yield the row of each published network, or of those in `names`, as `resnet:resnet50`."""
    wanted, printed = None if names is None else set(names), _printed()
    for family_name, found in families().items():
        for member in found.published:
            if wanted is None or f"{family_name}:{member}" in wanted:
                yield _row(f"{family_name}:{member}", found, member, printed)


def _row(name: str, found: Family, member: str, printed: Mapping[str, str]) -> str:
    shape = found.input_of(member)
    costs = profile(found.network(found.published[member]), shape)
    size = "x".join(map(str, shape))
    source = _escaped(found.source_of(member))
    return f"| `{name}` | {size} | {costs.params:,} | {costs.macs:,} | {printed.get(name, '')} | {source} |"


def network_costs(page: str) -> dict[str, tuple[str, int, str]]:
    """Return parameters, multiply-adds and expected costs of each network, by name, as the rows of a written page have them."""
    found = re.findall(r"^\| `([\w]+:[\w]+)` \| [\dx]+ \| ([\d,]+) \| ([\d,]+) \| (.*?) \|", page, re.MULTILINE)
    return {name: (params, int(macs.replace(",", "")), expected) for name, params, macs, expected in found}


def _printed() -> dict[str, str]:
    """Return the published costs of networks, by name: the tables that tests compare with."""
    texts: dict[str, str] = {}
    for path in sorted((ROOT / "tests" / "search_spaces" / "networks").glob("*.yaml")):
        for member, row in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            # left out: variants that are stacked by other options than the default
            if "network" not in row and "/" not in member:
                texts[f"{path.stem}:{member}"] = _costs(row)
    return texts


def _costs(row: Mapping[str, float]) -> str:
    params = f"{row['params']:,}" if "params" in row else f"{row['params_m']:g} M"
    return params + (f"; {row['gmacs']:g} G" if "gmacs" in row else "")


# ---------------------------------------------------------------------------------------------- recipes


def _recipes() -> str:
    rows = [
        f"| `{name}` | {_escaped(dict(sections()['recipes'])[name])} | {_expected(path)} |"
        for name, path in recipes().items()
    ]
    return "\n".join(
        ["We have run none of them at full length.\n", "| recipe | | published |", "|---|---|---|", *rows, ""]
    )


def _expected(path: Path) -> str:
    recipe = load_recipe(str(path))
    return f"{recipe.expect_of}: {numbers(recipe.expect)}" if recipe.expect else "none"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("_", "\\_") if "`" not in text else text.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE.write_text(catalogue(), encoding="utf-8")


if __name__ == "__main__":
    main()
