"""How the demo looks: titles, requests, stories and verdicts, for a terminal of some width, with or without colour. Pure."""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trackline.search.story import render_story
from trackline.terminal import clipped, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackline.demo.check import Answer, Story
    from trackline.demo.scenes import Scene
    from trackline.search.line import Line

_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "1;31"


@dataclass(frozen=True, slots=True)
class Show:
    """Gives the text of each part of the demo, in rows of ``width`` columns at the most, save for commands that are to be copied."""

    width: int
    color: bool
    fancy: bool = True
    command: str = "trackline"
    """Whether the output can have more than ASCII."""

    def opening(self, services: Iterable[tuple[str, str, int]], folder: Path) -> str:
        """What is there: the services, where they are and how many processes each has, and the files."""
        rows = [(name, f"{url}  {workers} process{'es' if workers > 1 else ''}") for name, url, workers in services]
        rows.append(("log files", str(folder / "logs")))
        calls = "gateway -> orders -> payments"
        about = f"Three services that call each other, {calls}: uvicorn, FastAPI and httpx, each with three lines of trackline."
        table = "".join(f"  {self._styled(f'{name:<9}', _BOLD)}  {value}\n" for name, value in rows)
        return self._title("trackline demo") + self._paragraph(about) + "\n" + table

    def sending(self, up_after: float, count: int) -> str:
        """That the services are up, and what happens now."""
        return "\n" + self._paragraph(
            f"Up after {up_after:.1f} s. Now {count} requests, all at the same time; then the story of each, found in the log files by "
            "the ID on its response."
        )

    def scene(self, number: str, answer: Answer, story: Story, problems: Sequence[str]) -> str:
        """One request: what was sent, what came back, its story, and what that proves."""
        scene = story.scene
        parts = [self._title(scene.title, number), self._paragraph(scene.about), "\n", self._exchange(scene, answer), "\n"]
        if story.lines:
            parts += [render_story(story.tracking_id, story.lines, width=self.width, color=self.color), "\n"]
        good = f"{len(story.lines)} lines, each found once: {scene.proves}"
        return "".join([*parts, self._verdict(problems, good)])

    def summary(self, stories: Sequence[Story], lines: Sequence[Line], problems: Sequence[str]) -> str:
        """The verdict on all of it."""
        processes = len({line.process for line in lines})
        total = sum(len(story.lines) for story in stories)
        good = (
            f"{len(stories)} requests, {total} lines in {len({line.path for line in lines})} files of {processes} processes: "
            "each under the ID of its request, each once, none under another ID, none without one."
        )
        return self._title("What came of it") + self._verdict(problems, good)

    def next_steps(self, stories: Sequence[tuple[Scene, Answer]], folder: Path, seconds: float, *, is_served: bool) -> str:
        """What to type next."""
        failed = next((answer.tracking_id for scene, answer in stories if scene.status >= 500), "")
        where = shlex.quote(str(folder))
        find = f"{self.command} find {shlex.quote(failed)} {where}"
        services = Path(__file__).with_name("{gateway,orders,payments}.py")
        commands = [
            ("the failed checkout once more, as on call you would", find),
            ("its lines as they were logged, one JSON object each", f"{find} --json"),
            ("that no line of any process was lost", f"{self.command} audit {where}"),
            ("the services, to copy from", f"less {services}"),
        ]
        if not is_served:
            commands.append(("keep the services running, and send requests of your own", f"{self.command} demo --serve"))
        text = self._title("What to type next") + self._commands(commands)
        if is_served:
            return text
        return text + "\n" + self._paragraph(f"It took {seconds:.1f} s. The services have ended; their files stay in {folder}")

    def serving(self, gateway: str, folder: Path) -> str:
        """What to try while the services go on running."""
        data = "-H 'Content-Type: application/json' -d"
        commands = [
            ("an ID of your own, through all three", f"curl -i {gateway}/checkout {data} '{{}}' -H 'X-Request-ID: mine-1'"),
            ("its story, in another terminal", f"{self.command} find mine-1 {shlex.quote(str(folder))}"),
            ("a failure", f'curl -i {gateway}/checkout {data} \'{{"card": "expired"}}\''),
            ("the headers in the API's document", f"{gateway}/docs"),
        ]
        title = self._title("The services go on running until Ctrl-C")
        return title + self._commands(commands)

    def _exchange(self, scene: Scene, answer: Answer) -> str:
        websocket = scene.method == "WS"
        sent = [f"GET {scene.path} (WebSocket)" if websocket else f"{scene.method} {scene.path}"]
        sent += [f"{name}: {value}" for name, value in scene.headers.items()]
        back = [f"{answer.status}", *(f"X-Request-ID: {value}" for value in answer.all("X-Request-ID"))]
        return self._labelled("sent", sent, "") + self._labelled("back", back, _RED if answer.status >= 500 else "")

    def _labelled(self, label: str, rows: Sequence[str], style: str) -> str:
        room = self.width - 8
        shown = [clipped(printable(row), room) for row in rows]
        first, *rest = [self._styled(shown[0], style), *shown[1:]]
        return f"  {self._styled(label, _DIM)}  {first}\n" + "".join(f"        {row}\n" for row in rest)

    def _title(self, text: str, number: str = "") -> str:
        dash = "─" if self.fancy else "-"
        head = f"{dash * 2} {number + '  ' if number else ''}{text} "
        return "\n" + self._styled(head + dash * max(self.width - len(head), 0), _BOLD) + "\n\n"

    def _paragraph(self, text: str) -> str:
        return textwrap.fill(text, self.width, break_on_hyphens=False) + "\n"

    def _verdict(self, problems: Sequence[str], good: str) -> str:
        if not problems:
            return self._marked("✓" if self.fancy else "ok", good, _GREEN)
        return "".join(self._marked("✗" if self.fancy else "XX", problem, _RED) for problem in problems)

    def _marked(self, mark: str, text: str, style: str) -> str:
        rows = textwrap.wrap(f"{mark} {printable(text)}", self.width, subsequent_indent=" " * (len(mark) + 1), break_on_hyphens=False)
        return "".join(self._styled(row, style) + "\n" for row in rows)

    def _commands(self, commands: Iterable[tuple[str, str]]) -> str:
        return "\n".join(f"  {self._styled('# ' + about, _DIM)}\n  {command}\n" for about, command in commands)

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.color and style and text else text
