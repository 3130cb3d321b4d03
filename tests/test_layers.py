"""The layers: who may import whom, where heavy libraries may stand, and how large and how deep code may be."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from itertools import chain, combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS = {
    **dict.fromkeys(
        "choice counting fields files history journal literal lock membership named own pareto places plain preprocessing "
        "records space votes".split(),
        0,
    ),
    **dict.fromkeys(
        "building cell_text family foreign labels layers notation operations profiling topology tracing".split(), 1
    ),
    **dict.fromkeys("data drawing morphisms predictors".split(), 2),
    **{
        room: floor
        for floor, room in enumerate(
            (
                "strategies training modules evaluation inspection supernets runtime runs export report terminal calls cli "
                "__main__ testing"
            ).split(),
            3,
        )
    },
}
"""The floor of each room of nas: a module imports its own room or one on a lower floor. Floors 0 and 1 are one room each."""

ONE_ROOM = (0, 1)

LOWEST_ONLY = {"strategies": "predictors"}
"""A room that stands higher and imports floor 0 and one other room alone."""

BY_NAME = {"nas": "nas", "nas.family": "search_spaces", "nas.foreign": "search_spaces"}
"""Modules that look up others by name, against the floors, and what they look up: the public names, and the families."""

HIDDEN = re.compile(r"nas(\.\w+)+\.?|search_spaces(\.\w+)*\.?")
"""A text that is the name of a module of the project, as it is given to importlib."""

NEVER = {*combinations(("building", "layers", "operations", "topology"), 2)}
"""Imports that the order within floor 1 forbids."""

HEAVY = frozenset(
    "datasets onnx onnx_ir onnxruntime onnxscript optuna optuna_dashboard PIL ray resvg_py simplejpeg sklearn".split()
)
TUNE = "nas.runtime.tune"
LATE = (TUNE, "nas.strategies.sampling")
"""Packages that are imported only where Ray or Optuna is used."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module; `deferred` where it is imported inside a function only, `by_name` where a text names it."""

    name: str
    line: int
    deferred: bool
    types_only: bool
    by_name: bool = False


@cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of every module of the project by its dotted name."""
    found = {}
    for path in sorted(path for package in ("nas", "search_spaces") for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text("utf-8"))
    return found


def imports(node: ast.AST, deferred: bool = False, types_only: bool = False) -> Iterator[Import]:
    """Yield what a syntax tree imports, by a statement or by a name in a text."""
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, deferred, types_only) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import hides the layer that it reaches"
        yield Import(str(node.module), node.lineno, deferred, types_only)
        yield from (Import(f"{node.module}.{a.name}", node.lineno, deferred, types_only) for a in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and HIDDEN.fullmatch(node.value):
        yield Import(node.value.rstrip("."), node.lineno, deferred=True, types_only=False, by_name=True)
    deferred = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    types_only = types_only or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    for child in ast.iter_child_nodes(node):
        yield from imports(child, deferred, types_only)


def part(module: str) -> str:
    """Return the part of nas that a dotted name belongs to; empty for nas itself."""
    return module.split(".")[1] if module.startswith("nas.") else ""


def violations(module: str, tree: ast.Module) -> list[str]:
    """Return what a module imports from a place that its layer may not know."""
    return [f"line {each.line}: {module} imports {each.name}" for each in imports(tree) if not allowed(module, each)]


def allowed(module: str, imported: Import) -> bool:
    top, mine, theirs = imported.name.split(".")[0], part(module), part(imported.name)
    if imported.by_name and top == BY_NAME.get(module):
        return True
    if module == "nas":
        return imported.types_only or top in sys.stdlib_module_names
    if top == "search_spaces":
        return module.startswith("search_spaces")
    if top != "nas":
        return FLOORS.get(mine) != 0 or top in {*sys.stdlib_module_names, "yaml"}
    if imported.name == "nas":
        return True
    if theirs not in FLOORS:
        return False
    if module.startswith("search_spaces"):
        return FLOORS[theirs] <= 1
    if mine in LOWEST_ONLY:
        return FLOORS[theirs] == 0 or theirs in (mine, LOWEST_ONLY[mine])
    is_one_room = mine == theirs or FLOORS[mine] in ONE_ROOM
    return FLOORS[theirs] < FLOORS[mine] + is_one_room and (mine, theirs) not in NEVER


def misplaced(module: str, tree: ast.Module) -> list[str]:
    """Return the imports of heavy libraries that every user of the module would pay for."""
    inside = any(module == each or module.startswith(f"{each}.") for each in LATE)
    found = [each for each in imports(tree) if each.name.split(".")[0] in HEAVY and not inside]
    return [
        f"line {each.line}: {module} imports {each.name}"
        for each in found
        if each.name.split(".")[0] == "ray" or not (each.deferred or each.types_only)
    ]


def lengths(tree: ast.Module) -> dict[str, int]:
    """Return how many lines each function has."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{node.name}, line {node.lineno}": (node.end_lineno or 0) - node.lineno + 1 for node in found}


@cache
def classes() -> dict[str, list[tuple[str, ast.ClassDef]]]:
    """Return every class of the project, with its module, by name."""
    found: dict[str, list[tuple[str, ast.ClassDef]]] = {}
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append((module, node))
    return found


def only(name: str) -> ast.ClassDef:
    ((_, node),) = classes()[name]
    return node


def is_abstract(node: ast.ClassDef) -> bool:
    decorators = {ast.unparse(each) for part in node.body for each in getattr(part, "decorator_list", ())}
    bases = {ast.unparse(base).split(".")[-1] for base in node.bases}
    return "abstractmethod" in decorators or bases & {"ABC", "Protocol"} != set()


def is_exception(node: ast.ClassDef) -> bool:
    for name in (ast.unparse(base) for base in node.bases):
        known = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, BaseException):
            return True
        if any(is_exception(inner) for _, inner in classes().get(name, ())):
            return True
    return False


def in_fresh_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_module_imports_its_own_layer_or_a_lower_one() -> None:
    assert not [found for module, tree in modules().items() for found in violations(module, tree)]


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    assert not [found for module, tree in modules().items() for found in misplaced(module, tree)]


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = modules()
    imported = {
        module: {each.name for each in imports(tree) if each.name in known and not each.by_name} - {module}
        for module, tree in known.items()
    }
    for module in imported:  # a package only hands on what is in it
        imported[module] -= {each for each in imported[module] if module.startswith(f"{each}.") or each == "nas"}
    TopologicalSorter(imported).prepare()


def test_every_part_of_nas_has_a_layer() -> None:
    assert {part(module) for module in modules() if part(module)} <= FLOORS.keys()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nas.records", "import torch"),
        ("nas.records", "def f():\n    import numpy"),
        ("nas.history", "from nas.building import Node"),
        ("nas.strategies.tpe", "from nas.building import Node"),
        ("nas.strategies.tpe", "import nas.data"),
        ("nas.training.loop", "from nas.evaluation import evaluator"),
        ("nas.building", "if TYPE_CHECKING:\n    from nas.runtime.queue import Queue"),
        ("nas.terminal.show", "import search_spaces.darts"),
        ("nas.terminal.show", "from nas import cli"),
        ("nas.terminal.show", "from nas.novelty import x"),
        ("nas", "from nas.space import sample"),
        ("nas.runtime.queue", "import_module('nas.runs.run')"),
        ("nas.runtime.queue", "for name in names:\n    import_module(f'nas.runs.{name}')"),
        ("nas.runs.run", "import_module('search_spaces')"),
        ("search_spaces.darts", "from nas.training import Recipe"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert violations(module, ast.parse(source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nas.data.folder", "from PIL import Image"),
        ("nas.runtime.ray_tune", "def run():\n    import ray.tune"),
        ("nas.runtime.queue", "class A:\n    import optuna"),
    ],
)
def test_a_misplaced_heavy_import_is_found(module: str, source: str) -> None:
    assert misplaced(module, ast.parse(source))


def test_a_heavy_import_inside_a_function_is_allowed() -> None:
    assert not misplaced("nas.data.folder", ast.parse("def load():\n    from PIL import Image"))
    assert not misplaced(f"{TUNE}.trials", ast.parse("import ray"))


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    return set(in_fresh_python(code).split())


def test_importing_nas_loads_neither_torch_nor_ray_nor_numpy() -> None:
    assert not loaded_by("import nas") & {"torch", "numpy", *HEAVY}


def test_spaces_histories_and_strategies_work_without_torch() -> None:
    every_strategy = "from nas.records import import_all; import_all('nas.strategies')"
    assert not loaded_by(f"import nas.space, nas.history; {every_strategy}") & {"torch", "numpy", *HEAVY}


def test_the_command_line_starts_without_torch() -> None:
    assert not loaded_by("import nas.cli") & {"torch", "numpy", *HEAVY}


def test_the_public_names_are_importable() -> None:
    names = "build count crossover decisions digest encode enumerate_architectures from_plain mutate neighbours"
    names += " one_of profile record resolve sample some_of to_plain"
    code = f"import nas\nfor name in '{names}'.split():\n    assert callable(getattr(nas, name)), name\nprint(dir(nas))"
    assert set(names.split()) <= set(ast.literal_eval(in_fresh_python(code)))


def test_every_file_is_shorter_than_400_lines() -> None:
    files = [path for package in ("nas", "search_spaces") for path in (ROOT / package).rglob("*.py")]
    counted = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files}
    assert len(counted) > 300
    assert not {path: lines for path, lines in counted.items() if lines >= 400}


def test_every_function_has_at_most_40_lines() -> None:
    counted = {f"{module}: {name}": each for module, tree in modules().items() for name, each in lengths(tree).items()}
    assert not {name: lines for name, lines in counted.items() if lines > 40}


def test_no_class_inherits_from_a_concrete_class() -> None:
    found = [
        f"{module}: {node.name} inherits from {base}"
        for module, node in chain.from_iterable(classes().values())
        if not is_exception(node)
        for base in (ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases)
        if not all(is_abstract(parent) for _, parent in classes().get(base, ()))
    ]
    assert not found


def test_abstract_and_concrete_classes_are_told_apart() -> None:
    assert is_abstract(only("Node"))
    assert is_abstract(only("Strategy"))
    assert not is_abstract(only("SepConv"))
    assert is_exception(only("BuildError"))
    assert not is_exception(only("SepConv"))


def test_a_function_that_speaks_of_nas_is_sent_to_workers() -> None:
    source = "lambda tree: len(nas.to_plain(tree))"
    script = f"""
import cloudpickle, nas, pickle, nas.records
sent = pickle.loads(cloudpickle.dumps({source}))
print(sent([1, 2]), nas.records.__name__)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", cwd=ROOT, check=False)
    assert done.stdout == "2 nas.records\n", done.stderr


def test_no_module_has_the_name_of_a_function_of_nas() -> None:
    import nas

    assert not {name for name in nas.__all__ if (ROOT / "nas" / f"{name}.py").exists()}
