"""The wheel as a user has it: in an empty environment, and in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

Run = Callable[..., str]


def run(command: list[str | Path], cwd: Path) -> str:
    """Run a command that knows nothing of this checkout; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NAS_"))}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**environment, "COLUMNS": "160", "NO_COLOR": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", folder, ROOT], folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that holds the wheel, what it depends on, and the quickstart's extras."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    locked = ROOT / "requirements.lock"
    install = [interpreter, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", locked]
    run([*install, f"{wheel}[ray,data]"], folder)
    return interpreter


def test_everything_is_all_but_what_a_contributor_needs() -> None:
    extras = PROJECT["optional-dependencies"]
    named = set(re.fullmatch(r"cellstack\[(.*)\]", extras["all"][0])[1].split(","))  # type: ignore[index]
    assert named == extras.keys() - {"all", "dev", "weights"}
    tools = {re.split(r"[>=\[]", each)[0] for each in extras["dev"]}
    assert {"pytest", "mypy", "ruff"} <= tools
    assert not tools & {re.split(r"[>=\[]", each)[0] for name in named for each in extras[name]}


def test_the_lock_holds_everything_that_a_contributor_needs() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE))
    wanted = [
        *PROJECT["dependencies"],
        *(each for name, needs in PROJECT["optional-dependencies"].items() if name != "weights" for each in needs),
    ]
    names = {re.split(r"[>=\[]", each)[0].lower() for each in wanted} - {"cellstack"}
    assert names <= {name.lower() for name in locked}


@pytest.mark.slow
def test_the_wheel_holds_experiments_recipes_and_types_inside_its_packages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {path.relative_to(ROOT / "experiments") for path in (ROOT / "experiments").rglob("*.yaml")}
    assert {f"nas/experiments/{path.as_posix()}" for path in files} <= names
    assert {"nas/py.typed", "search_spaces/py.typed"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"nas", "search_spaces"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_in_an_empty_folder_the_first_command_of_the_help_runs(python: Path, tmp_path: Path) -> None:
    nas: list[str | Path] = [python.with_name("nas")]
    versions = run([*nas, "--version"], tmp_path)
    assert versions.startswith(f"cellstack {PROJECT['version']} in {python.parents[1]}")
    assert re.search(r"^torch \d.*\nray \d.*\noptuna not installed$", versions, re.MULTILINE)
    assert run([python, "-m", "nas", "--version"], tmp_path) == versions
    listed = run([*nas, "list", "experiments"], tmp_path)
    assert {"quickstart", "cifar10/pc_darts"} <= {line.split()[0] for line in listed.splitlines()}
    assert "darts_imagenet" in run([*nas, "list", "recipes"], tmp_path)
    (named,) = re.findall(r"Begin with: nas (.*)", run([*nas, "--help"], tmp_path))
    small = [
        "rules.budget.evaluations=2",
        "evaluator.recipe.epochs=1",
        "final.evaluator.recipe.epochs=1",
        "final.beside_random=false",
    ]
    assert not list(tmp_path.iterdir())
    printed = run([*nas, *named.split(), *small, "--run-dir", "run", "--executor", "inline"], tmp_path)
    assert "test_top1_percent" in printed
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    assert (tmp_path / "run" / "best.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_python_of_the_readme_runs_in_an_empty_folder(python: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    printed = run([python, "-c", f"{code}\nprint(type(model).__mro__[-2].__module__)"], tmp_path)
    assert printed.splitlines()[0] == "36"
    assert printed.splitlines()[-1] == "torch.nn.modules.module"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_folder_of_packages_holds_experiments_and_recipes(wheel: Path, python: Path, tmp_path: Path) -> None:
    target = tmp_path / "packages"
    run([python, "-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel], tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "from nas.runs.declared import experiments, recipes\n"
        "print(experiments()['quickstart'], recipes()['darts_cifar'], sep='\\n')"
    )
    found = [Path(line) for line in run([python, "-c", code], tmp_path).splitlines()]
    assert all(path.is_file() and path.is_relative_to(target) for path in found)
