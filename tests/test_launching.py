"""The pages on launching: their commands exist, their files are there, and the script does as it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from nas.cli import app
from nas.runtime.full_training import recipes

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "launching"
PAGES = [ROOT / "README.md", *sorted(FOLDER.iterdir())]

COMMAND = re.compile(r"(?<![\w/.$-])nas ([a-z]+)((?: [^\s`|;&#]+)*)")
"""A command and what follows it, word by word; two spaces, a comment or the end of the code end it."""


def code(page: Path) -> str:
    """Return the code of a page: blocks, and words in backticks; of a file that is no page, all of it."""
    text = page.read_text("utf-8").replace("\\\n", "")
    if page.suffix != ".md":
        return text
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return "\n".join([*blocks, *inline])


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the `nas` commands of a page with their arguments; N stands for a number."""
    for name, rest in COMMAND.findall(code(page)):
        yield name, [re.sub(r"^N$", "1", word.strip("\"'")) for word in rest.split()]


def parse(name: str, arguments: list[str]) -> None:
    """Parse a command without running it; raises what the command line would say."""
    known: Any = typer.main.get_command(app)
    if name not in known.commands:
        raise ValueError(f"there is no command {name}")
    if arguments:
        known.commands[name].make_context(name, list(arguments))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one(page: Path) -> None:
    for name, arguments in commands(page):
        parse(name, arguments)


def test_each_page_has_commands_that_are_found() -> None:
    found = {page.name: [name for name, _ in commands(page)] for page in PAGES}
    for page in ("one_machine.md", "ray_cluster.md", "slurm.md", "kubernetes.md"):
        assert {"train", "resume", "show"} <= set(found[page])
    assert {"search", "resume", "show", "profile", "reproduce"} <= set(found["README.md"])
    assert found["rayjob.yaml"] == ["search"]


@pytest.mark.parametrize(
    "wrong", ["serch x.yaml", "search x.yaml --worker 2", "search x.yaml --workers two", "train darts:DARTS_V2"]
)
def test_a_command_that_is_none_is_found(wrong: str) -> None:
    name, *arguments = wrong.split()
    with pytest.raises(
        Exception, match=r"no command serch|No such option: --worker|valid integer|[Mm]issing option|recipe"
    ):
        parse(name, arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_recipe_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    paths = set(re.findall(r"(?<![\w/])(?:/opt/cellstack/)?((?:experiments|docs|tests)/[\w/]+\.\w+)", text))
    paths |= {f"{page.parent}/{link}" for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text)}
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert set(re.findall(r"--recipe ([a-z]\w+)", text)) <= recipes().keys()


def locked(package: str) -> str:
    (version,) = re.findall(rf"^{package}==([\w.]+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    return str(version)


def test_ray_is_everywhere_the_one_that_is_locked() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    named = re.findall(
        r"ray\[default\]==([\d.]+)|rayproject/ray:([\d.]+)-|rayVersion: \"([\d.]+)\"|requirements\.lock` \(([\d.]+)\)",
        text,
    )
    assert len(named) == 5
    assert {next(filter(None, each)) for each in named} == {locked("ray")}


def test_the_cluster_file_is_as_ray_wants_it() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    cluster = yaml.safe_load((FOLDER / "ray_cluster.yaml").read_text("utf-8"))
    validate_config(prepare_config(cluster))
    head, worker = (cluster[f"{kind}_start_ray_commands"][-1] for kind in ("head", "worker"))
    assert "ray start --head --port=6379 --autoscaling-config=~/ray_bootstrap_config.yaml" in head
    assert "ray start --address=$RAY_HEAD_IP:6379" in worker
    assert head.split(";")[0] == worker.split(";")[0] == ". /shared/cellstack/docs/launching/environment.sh"


def test_the_rayjob_has_what_kuberay_asks_for() -> None:
    job = yaml.safe_load((FOLDER / "rayjob.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
    assert spec["shutdownAfterJobFinishes"] is True
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    for group, pod in zip(groups, pods, strict=True):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = pod["containers"]
        mounted = {each["name"] for each in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}
        assert container["env"] == pods[0]["containers"][0]["env"]
    workers = sum(group["replicas"] * int(gpus(group)) for group in groups[1:])
    assert f"--workers {workers} --gpus-per-worker 1" in spec["entrypoint"]


def gpus(group: dict[str, Any]) -> str:
    (container,) = group["template"]["spec"]["containers"]
    return str(container["resources"]["limits"]["nvidia.com/gpu"])


STAND_INS = {
    "srun": 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    "scontrol": 'echo "$@" > requeued',
    "nas": 'echo "$@" > asked; if [ -e long ]; then sleep 30; fi',
    "hostname": "echo 10.0.0.1 10.1.0.1",
}


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Return a function that starts the script as SLURM would, in a folder with stand-ins for what it calls."""
    (tmp_path / "bin").mkdir()
    for name, body in STAND_INS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin" / "activate").touch()
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "4", "RUN": "runs/one"}
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "VENV": str(tmp_path), **job}
    command = ["bash", str(FOLDER / "slurm.sh"), "nas", "search", "a b.yaml"]
    started = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_slurm_job_begins_a_run_and_given_again_goes_on_with_it(
    slurm: Callable[[], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    assert slurm().wait(20) == 0
    assert (tmp_path / "asked").read_text() == "search a b.yaml --run-dir runs/one --address auto\n"
    (tmp_path / "runs" / "one").mkdir(parents=True)
    assert slurm().wait(20) == 0
    assert (tmp_path / "asked").read_text() == "resume runs/one --address auto\n"


def test_a_slurm_job_goes_back_into_the_queue_before_its_time_is_over(
    slurm: Callable[[], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    (tmp_path / "long").touch()
    job = slurm()
    for _ in range(200):
        if (tmp_path / "asked").exists():
            break
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)
    job.wait(20)
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda script: script.name)
def test_a_script_is_one(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
