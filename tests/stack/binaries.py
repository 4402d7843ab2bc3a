"""
Filebeat, the Collector and Elasticsearch: found, or built from package registries and kept in a cache outside of the repository.

``python tests/stack/binaries.py`` has all of them ready and says where they are; it fails where one is missing. For each there is an
environment variable with which to name a ready one; ``TRACKLINE_STACK_CACHE`` is where builds are kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_SERVED = re.compile(r": reading \S+: (?:403|404|410)\b|: invalid version: unknown revision")
BUILD = Path(__file__).parent / "build"
COLLECTOR = Path(__file__).parents[2] / "collector"


class MissingError(Exception):
    """There is no such program, and no toolchain to build it with."""


class BuildError(Exception):
    """There is a toolchain, and building failed."""


class NotServedError(BuildError):
    """The registry does not give what the recipe pins: nothing that a change of ours has done, or can mend."""


@dataclass(frozen=True, slots=True)
class Program:
    """One of them: how it is found and what it is built from."""

    name: str
    variable: str
    tools: tuple[str, ...]
    toolchain: str
    result: str = ""  # within the build's folder; the folder itself for Elasticsearch's home
    more: tuple[Path, ...] = ()  # what the build is made of besides its own folder

    def key(self) -> str:
        """Give the name of the build: the recipe's files and the kind of machine settle what comes out."""
        digest = hashlib.sha256(" ".join(os.uname()[::4]).encode())
        for path in sorted(one for one in (BUILD / self.name).rglob("*") if one.is_file()) + list(self.more):
            content = path.read_bytes()
            digest.update(b"%b %d\n%b" % (path.name.encode(), len(content), content))
        return f"{self.name}-{digest.hexdigest()[:12]}"


FILEBEAT = Program("filebeat", "TRACKLINE_FILEBEAT", ("go",), "Go 1.24.9 or later", "filebeat")
FILEBEAT_7 = Program("filebeat-7.17", "TRACKLINE_FILEBEAT_7", ("go",), "Go 1.24 or later", "filebeat")
OTELCOL = Program("otelcol", "TRACKLINE_OTELCOL", ("go",), "Go 1.25 or later", "otelcol", (COLLECTOR / "otelcol" / "builder.yaml",))
ELASTICSEARCH = Program("elasticsearch", "TRACKLINE_ELASTICSEARCH_HOME", ("mvn", "javac", "jar"), "a JDK 17 or later and Maven")
PROGRAMS = (ELASTICSEARCH, FILEBEAT, FILEBEAT_7, OTELCOL)


def cache() -> Path:
    """Give the folder of the builds."""
    return Path(os.environ.get("TRACKLINE_STACK_CACHE") or Path.home() / ".cache" / "trackline-stack")


def find(program: Program) -> Path:
    """
    Give the path of a program, which is built first where there is none: minutes, and for the Collector up to a quarter of an hour.

    Two who ask at the same time build once. Raises MissingError without a toolchain, BuildError where building fails.
    """
    if named := os.environ.get(program.variable):
        path = Path(named).absolute()
        if not path.exists():
            raise MissingError(f"{program.variable}={named}: there is no such path")
        return path
    folder = cache() / program.key()
    if not folder.exists():
        with _locked(cache() / f"{program.name}.lock"):
            if not folder.exists():
                _build(program, folder)
    return folder / program.result


def _build(program: Program, folder: Path) -> None:
    if missing := [tool for tool in program.tools if shutil.which(tool) is None]:
        raise MissingError(
            f"{program.name} needs {program.toolchain} to be built, and there is no {', '.join(missing)} on the PATH; "
            f"or name a ready one with {program.variable}"
        )
    print(f"building {program.name}, once: it is kept as {folder}", file=sys.stderr, flush=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{program.name}-", suffix=".unfinished", dir=folder.parent))
    try:
        done = subprocess.run(
            [BUILD / program.name / "build.sh", scratch], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            kind = NotServedError if _NOT_SERVED.search(done.stdout) else BuildError
            raise kind(f"building {program.name} failed with status {done.returncode}:\n" + "\n".join(done.stdout.splitlines()[-30:]))
        scratch.chmod(0o755)
        scratch.rename(folder)  # whole, or not there
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Have all programs ready."""
    status = 0
    for program in PROGRAMS:
        try:
            print(f"{program.name:14} {find(program)}", flush=True)
        except (MissingError, BuildError) as error:
            print(f"{program.name:14} {error}", file=sys.stderr, flush=True)
            status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
