"""The log files of the demo, read while they are written: until the services are up, until the lines are there."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from trackline.demo.check import Story, line_problems
from trackline.demo.processes import SERVICES, ServiceFailedError
from trackline.search.line import Line, read_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trackline.demo.processes import Services
    from trackline.demo.scenes import Scene

_UP = "Application startup complete."  # uvicorn says it once in each process
_UP_SECONDS = 30.0  # for a loaded machine; an idle one needs two
_LINES_SECONDS = 10.0
_POLL_SECONDS = 0.02


def read_all(folder: Path) -> list[Line]:
    """Give all lines of all files; one that is being written is not there yet."""
    lines = []
    for path in sorted((folder / "logs").glob("*.log")):
        *whole, _torn = path.read_bytes().split(b"\n")
        lines += [read_line(raw, path, number, json.loads(raw)) for number, raw in enumerate(whole, 1) if raw]
    return lines


async def wait_until_up(folder: Path, services: Services) -> None:
    """Return when each process of each service serves; raise ServiceFailedError where that does not come about."""
    deadline = time.monotonic() + _UP_SECONDS
    while sum(line.message == _UP for line in read_all(folder)) < sum(SERVICES.values()):
        services.check()
        if time.monotonic() > deadline:
            raise ServiceFailedError(f"the services are not up after {_UP_SECONDS:.0f} seconds")
        await asyncio.sleep(_POLL_SECONDS)


async def wait_for_lines(folder: Path, sent: Sequence[tuple[Scene, str]], services: Services) -> None:
    """Return when the lines of each request, given with its tracking ID, are there, or will not come any more."""
    deadline = time.monotonic() + _LINES_SECONDS
    while time.monotonic() < deadline:
        lines = read_all(folder)
        stories = [Story(scene, one, [line for line in lines if line.tracking_id == one]) for scene, one in sent]
        if not any(map(line_problems, stories)):
            return
        services.check()
        await asyncio.sleep(_POLL_SECONDS)
