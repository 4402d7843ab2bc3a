"""Run the demo: start the services, send the requests, find their stories in the files, judge them, end everything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trackline.demo.check import Story, answer_problems, line_problems, stray_problems
from trackline.demo.client import send
from trackline.demo.files import read_all, wait_for_lines, wait_until_up
from trackline.demo.processes import SERVICES, ServiceFailedError, Services
from trackline.demo.scenes import ten_scenes
from trackline.demo.show import Show
from trackline.search.files import find_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackline.demo.check import Answer
    from trackline.demo.scenes import Scene

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_demo(folder: Path | None = None, *, serve: bool = False, width: int = 80, color: bool = False) -> int:
    """
    Run the demo, print it to standard output, and give the exit status.

    0: every expected line was found under its ID and under no other; 1: not so, or a service has failed; 128 and a signal's number
    where a signal has ended it. ``folder`` must be empty or not there yet, else ValueError; None makes one where the system has its
    temporary files. For the main thread, which is where signals arrive.
    """
    fancy = (sys.stdout.encoding or "").lower().startswith("utf")
    show = Show(width, color, fancy, _command())
    return asyncio.run(Demo(_make_folder(folder), show, serve=serve).run())


def _command() -> str:
    """Give our command as it is to be typed here: in a virtual environment that is not active, with its path."""
    beside = Path(sys.executable).with_name("trackline")
    if shutil.which("trackline") or not beside.exists():
        return "trackline"
    return shlex.quote(os.path.relpath(beside))


class Demo:
    """One run of the demo."""

    def __init__(self, folder: Path, show: Show, *, serve: bool) -> None:
        self._folder, self._show, self._serve = folder, show, serve
        self._began = time.monotonic()
        self._stopped_by: int | None = None

    async def run(self) -> int:
        """Run it, and give the exit status; whatever happens, the services are gone when this returns."""
        loop, task = asyncio.get_running_loop(), cast("asyncio.Task[int]", asyncio.current_task())
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop, number, task)
        try:
            # What starts and ends the services does not await: a signal cannot come between, however often it is sent.
            with Services(self._folder) as services:
                return 0 if await self._act(services) else 1
        except asyncio.CancelledError:
            if self._stopped_by is None:
                raise
            with contextlib.suppress(OSError):  # the terminal may be gone
                _say(f"\nStopped, and the services with it. Their files: {self._folder}\n")
            return 128 + self._stopped_by
        except ServiceFailedError as error:
            print(f"trackline demo: {error}\nIts files: {self._folder}", file=sys.stderr)
            return 1

    def _stop(self, number: int, task: asyncio.Task[int]) -> None:
        self._stopped_by = number
        task.cancel()

    async def _act(self, services: Services) -> bool:
        """Do all of it, and say whether all is as it should be."""
        _say(self._show.opening([(service.name, service.url, SERVICES[service.name]) for service in services.running], self._folder))
        await wait_until_up(self._folder, services)
        up_after = time.monotonic() - self._began
        scenes = ten_scenes()
        _say(self._show.sending(up_after, len(scenes)))

        # All at the same time: their lines are mixed in the files, as they are in real life.
        answers = await asyncio.gather(*(send(scene, services) for scene in scenes))
        sent = list(zip(scenes, answers, strict=True))
        await wait_for_lines(self._folder, [(scene, answer.tracking_id) for scene, answer in sent], services)
        self._tell(sent)

        if not self._serve:
            services.stop()  # now all files are complete: a line that came late, or twice, is there too
        is_good = self._judge(sent)
        _say(self._show.next_steps(sent, self._folder, time.monotonic() - self._began, is_served=self._serve))
        if self._serve:
            _say(self._show.serving(services.url("gateway"), self._folder))
            await self._wait_for_ctrl_c(services)
            _say("\nEnding the services.\n")
        return is_good

    def _tell(self, sent: Sequence[tuple[Scene, Answer]]) -> None:
        for number, (scene, answer) in enumerate(sent, 1):
            story = self._find(scene, answer)
            problems = [*answer_problems(scene, answer), *line_problems(story)]
            _say(self._show.scene(f"{number}/{len(sent)}", answer, story, problems))

    def _judge(self, sent: Sequence[tuple[Scene, Answer]]) -> bool:
        stories = [self._find(scene, answer) for scene, answer in sent]
        lines = read_all(self._folder)
        problems = []
        for number, (story, (scene, answer)) in enumerate(zip(stories, sent, strict=True), 1):
            problems += [f"request {number}: {problem}" for problem in (*answer_problems(scene, answer), *line_problems(story))]
        problems += stray_problems(stories, lines)
        _say(self._show.summary(stories, lines, problems))
        return not problems

    def _find(self, scene: Scene, answer: Answer) -> Story:
        lines = find_lines(answer.tracking_id, [self._folder]) if answer.tracking_id else []
        return Story(scene, answer.tracking_id, lines)

    async def _wait_for_ctrl_c(self, services: Services) -> None:
        try:
            while True:
                await asyncio.sleep(0.5)
                services.check()
        except asyncio.CancelledError:
            if self._stopped_by != signal.SIGINT:  # Ctrl-C is how it is meant to end
                raise


def _make_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="trackline-demo-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise ValueError(f"--dir={str(folder)!r}: {error.strerror}; expected a folder that is empty or not there yet") from error
    if not is_empty:
        raise ValueError(f"--dir={str(folder)!r}: there are files in it; expected a folder that is empty or not there yet")
    return folder.absolute()


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
