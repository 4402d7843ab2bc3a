"""For tests of applications: the lines that are logged, as dicts. pytest has them as the fixture ``tracked_lines``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import orjson

from trackline.config import LogSettings, parse_level, resource_from_env
from trackline.logs.handler import make_schema
from trackline.logs.process import current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackline.logs.schema import Schema

Line = dict[str, Any]
_LEVELS = ("log.level", "severity_text", "level")
_LOGGERS = ("log.logger", "name")
_MESSAGES = ("message", "body")


class TrackedLines(Sequence[Line]):
    """
    The lines so far, in order, each as the dict that a reader of the log gets, with the tracking ID of where it was logged.

    A sequence, which grows while the test runs. Loggers that do not propagate to the root logger are not in it.
    """

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._levels: dict[str, int] = {}

    @overload
    def __getitem__(self, index: int) -> Line: ...
    @overload
    def __getitem__(self, index: slice) -> list[Line]: ...
    def __getitem__(self, index: int | slice) -> Line | list[Line]:
        return self._lines[index]

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return f"<{len(self)} lines: {self.messages}>"

    @property
    def messages(self) -> list[str]:
        """The messages, in order."""
        return [_first(line, _MESSAGES) for line in self._lines]

    def of(self, tracking_id: str | None = None, *, level: str | None = None, logger: str | None = None) -> list[Line]:
        """Give the lines of a tracking ID, of a level ("ERROR", in any case), of a logger and those below it; of all that is given."""
        return [
            line
            for line in self._lines
            if (tracking_id is None or line.get("tracking_id") == tracking_id)
            and (level is None or _first(line, _LEVELS).upper() in (level.upper(), _OTEL_NAMES.get(level.upper())))
            and (logger is None or f"{_logger(line)}.".startswith(f"{logger}."))
        ]

    def clear(self) -> None:
        """Forget the lines so far."""
        self._lines.clear()

    def set_level(self, level: int | str, logger_name: str = "root") -> None:
        """Set a logger's level until the test ends."""
        logger = logging.getLogger(logger_name)
        self._levels.setdefault(logger_name, logger.level)
        logger.setLevel(parse_level(level))

    def _restore(self) -> None:
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)


_OTEL_NAMES = {"WARNING": "WARN", "CRITICAL": "FATAL"}


class _Capture(logging.Handler):
    def __init__(self, schema: Schema, lines: list[Line]) -> None:
        super().__init__()
        self._schema, self._lines = schema, lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(orjson.loads(self._schema.line(record)))


@contextmanager
def capture_lines() -> Iterator[TrackedLines]:
    """
    Capture what is logged, as lines by the settings of `setup_logging` where it has been called, and in ``ecs`` where not.

    The root logger's level is that of `setup_logging`, or else INFO at the highest, so that what an application says is there.
    """
    lines = TrackedLines()
    handler = _Capture(make_schema(_settings()), lines._lines)  # noqa: SLF001  (of this module)
    root, before = logging.getLogger(), current()
    root.addHandler(handler)
    if before is None and root.level > logging.INFO:
        lines.set_level(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        if current() is not before:
            lines._levels.pop("root", None)  # noqa: SLF001  (an application that was imported meanwhile has set it)
        lines._restore()  # noqa: SLF001


def _settings() -> LogSettings:
    if (handle := current()) is not None:
        return handle.settings if isinstance(handle.settings.schema, str) else replace(handle.settings, schema="ecs")
    environment = resource_from_env()
    return LogSettings(
        service_name=environment.get("service.name") or "app",
        level="INFO",
        schema="ecs",
        log_dir=Path(),
        console=True,
        file=False,
        retention_days=1,
        resource=tuple(sorted(environment.items())),
    )


def _logger(line: Line) -> str:
    scope = line.get("instrumentation_scope")
    return str(scope["name"]) if isinstance(scope, dict) else _first(line, _LOGGERS)


def _first(line: Line, keys: tuple[str, ...]) -> str:
    return next((str(line[key]) for key in keys if key in line), "")
