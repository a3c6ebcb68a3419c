"""Each step of docker/Dockerfile is carried out, without Docker, in a directory for each stage: and then it all runs.

What stands for the base images is a virtual environment for python and the tests' server for postgres.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import pyengine
from tests.fix_server import PrivateServer, server_directory

pytestmark = pytest.mark.packaging

ROOT = Path(pyengine.__file__).parents[1]
DOCKER = ROOT / "docker"
MAJOR = 18


@dataclass
class Stage:
    """An image on its way: its file system below `root`, and how to run programs in it."""

    root: Path
    base: str
    programs: Path | None = None
    command: list[str] = field(default_factory=list)

    def place(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def environment(self, **more: str) -> dict[str, str]:
        path = f"{self.programs}:{os.environ['PATH']}"
        # The first says no by meaning yes: https://github.com/pypa/pip/issues/5735
        offline = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PYENGINE", "DBOS"))}
        return {**kept, "PATH": path, **offline, **more}

    def words(self, words: list[str]) -> list[str]:
        """A command with its absolute paths inside this stage."""
        return [str(self.place(word)) if word.startswith("/") else word for word in words]

    def run(self, words: list[str]) -> None:
        done = subprocess.run(
            self.words(words), env=self.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


def instructions() -> Iterator[tuple[str, list[str]]]:
    text = re.sub(r"^#.*$", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in text.splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, shlex.split(rest) if name != "CMD" else [rest]


def build(directory: Path) -> dict[str, Stage]:
    """Carry out the whole file; an unknown instruction fails."""
    stages: dict[str, Stage] = {}
    stage = Stage(directory, "")
    for name, words in instructions():
        if name == "FROM":
            image, _, alias = words
            stage = Stage(directory / alias, image)
            stages[alias] = stage
            if image in stages:
                stage.base, stage.programs = stages[image].base, stages[image].programs
                shutil.copytree(stages[image].root, stage.root)
            else:
                stage.root.mkdir()
                if image.startswith("python:"):
                    stage.programs = _make_python(directory / "python")
        elif name == "COPY":
            origin = stages[words.pop(0).partition("=")[2]].root if words[0][:2] == "--" else ROOT
            *sources, target = words
            for source in sources:
                _copy(origin / source.lstrip("/"), stage.place(target), into=target.endswith("/"))
        elif name == "RUN":
            stage.run(words)
        elif name == "CMD":
            stage.command = [str(each) for each in json.loads(words[0])]
        else:
            assert name == "USER", f"this test does not know {name}"
    return stages


def _copy(source: Path, target: Path, *, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(
            source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        return
    place = target / source.name if into else target
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)


def _make_python(directory: Path) -> Path:
    """A Python of its own in which this one's packages stand for those of the index, all but pyengine itself."""
    venv.create(directory, with_pip=True)
    packages = next(directory.glob("lib/python*/site-packages"))
    (packages / "index.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return directory / "bin"


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, Stage]]:
    directory = server_directory()
    yield build(directory)
    shutil.rmtree(directory)


def compose() -> str:
    return (DOCKER / "compose.yaml").read_text()


def settings_of(service: str) -> dict[str, str]:
    """The environment of a service, with its defaults."""
    text = re.split(r"^  (?=\w)", compose(), flags=re.MULTILINE)
    (part,) = [each for each in text if each.startswith(f"{service}:")]
    (block,) = re.findall(r"    environment:\n((?:      .*\n)+)", part)
    pairs = re.findall(r"      (\w+): (.*)", block)
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in pairs}


def test_compose_has_a_server_and_a_worker_and_nothing_else(images: dict[str, Stage]) -> None:
    (services,) = re.findall(r"^services:\n((?: .*\n|\n)+)", compose(), flags=re.MULTILINE)

    assert re.findall(r"^  (\w+):$", services, flags=re.MULTILINE) == ["server", "worker"]
    assert set(re.findall(r"target: (\w+)", services)) <= set(images)
    assert images["server"].base == f"postgres:{MAJOR}"


def test_the_images_make_a_server_whose_work_the_worker_does(images: dict[str, Stage]) -> None:
    if "PYENGINE_PG_BINDIR" in os.environ:
        pytest.skip(f"the image has PostgreSQL {MAJOR}")
    image, worker = images["server"], images["worker"]
    share = image.place(f"/usr/share/postgresql/{MAJOR}")
    home = server_directory()
    server = PrivateServer(home / "server", {"extension_control_path": f"$system:{share}"})
    try:
        given = settings_of("server")
        for script in sorted(image.place("/docker-entrypoint-initdb.d").iterdir()):
            psql = os.environ | given | _libpq(server)
            psql["PATH"] = f"{server.bindir}:{psql['PATH']}"
            subprocess.run(["sh", "-eu", str(script)], env=psql, check=True)
        url = settings_of("worker")["PYENGINE_DATABASE_URL"]
        assert (
            url == f"postgresql://worker:{given['WORKER_PASSWORD']}@server/{given['POSTGRES_DB']}"
        )
        running = subprocess.Popen(
            worker.words(worker.command),
            env=worker.environment(**_libpq(server), PYENGINE_DATABASE_URL=_through(server, url)),
        )
        try:
            _use_as_compose_says(server)
        finally:
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0
    finally:
        server.close()
        shutil.rmtree(home)


def _libpq(server: PrivateServer) -> dict[str, str]:
    info = conninfo_to_dict(server.dsn())
    return {"PGHOST": str(info["host"]), "PGPORT": str(info["port"])}


def _through(server: PrivateServer, url: str) -> str:
    """The URL of compose.yaml, with the tests' server for the host `server`."""
    place = _libpq(server)
    return url.replace("@server/", "@/") + f"?host={place['PGHOST']}&port={place['PGPORT']}"


def _use_as_compose_says(server: PrivateServer) -> None:
    """The statements in the head of compose.yaml, read by a shell."""
    comments = re.sub(r"\\\n# +", "", compose().partition("\nservices:")[0]).splitlines()
    statements = [shlex.split(line.lstrip("# "))[-1] for line in comments if " psql " in line]
    assert len(statements) == 2
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        answers = [conn.execute(statement.encode()).fetchall() for statement in statements]
    assert answers == [[("ada",)], [("Hello, Ada!",)]]
