"""setup_logging for a process, setup_logger for one logger: what users say, as settings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackline.config import LogSettings, resource_from_env
from trackline.environment import LOGGING, else_from_env
from trackline.logs.exit import flush_at_exit
from trackline.logs.handler import LineHandler, TrackingIDFilter, make_directory, make_handler
from trackline.logs.hangup import watch_hangup
from trackline.logs.process import start

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from trackline.config import LineSchema
    from trackline.logs.process import Logging
    from trackline.redaction import Redaction
    from trackline.sampling import RateLimit, Sampling

_loggers: dict[str, LineHandler] = {}


@else_from_env(LOGGING)
def setup_logging(
    service_name: str | None = None,
    *,
    level: int | str = "INFO",
    schema: LineSchema = "ecs",
    log_dir: str | os.PathLike[str] = "logs",
    console: bool | str = "auto",
    file: bool = True,
    retention_days: int = 7,
    max_queue_bytes: int = 64 * 1024 * 1024,
    max_queue_lines: int = 200_000,
    queue_policy: str = "level-aware",
    queue_timeout: float = 1.0,
    rotate: str | None = "midnight",
    rotate_zone: str = "local",
    max_file_bytes: int | None = 256 * 1024 * 1024,
    retention_files: int | None = None,
    retention_bytes: int | None = 10 * 1024**3,
    compress: str | None = None,
    compress_after: float = 3600,
    file_mode: int = 0o640,
    redact: bool | Redaction = True,
    traceback_frames: int = 100,
    traceback_bytes: int = 64 * 1024,
    sampling: Sampling | None = None,
    rate_limit: RateLimit | None = None,
    capture: bool = True,
    level_signals: bool = False,
    access_log: bool = True,
    access_exclude: Sequence[str] | Callable[[Mapping[str, Any]], bool] = (),
) -> Logging:
    """
    Set up the logging of the whole process: every logger, the servers' own and their access logs, as JSON lines with the tracking ID.

    Lines go through a bounded queue to one file a process in ``log_dir``, a new one each midnight, kept for ``retention_days``, and to
    standard output. Call it before or after the server has set up its own logging, in the module of the application. An option that is
    not given is that of the environment, where it is set there: ``level`` is TRACKLINE_LOG_LEVEL (`trackline.environment.VARIABLES`).

    - ``service_name``: by default OTEL_SERVICE_NAME, or ``service.name`` in OTEL_RESOURCE_ATTRIBUTES, or "app".
    - ``level``: of the root logger, a name or a number.
    - ``schema``: "ecs", "otel" or "flat"; or a `logging.Formatter` of your own, or a callable that makes a dict, a text or bytes of a
      record: its lines have no ``event.id``, so that an audit knows nothing of them.
    - ``console``: "auto" for a person where standard output is a terminal and JSON elsewhere; "pretty", "json" (or True), False.
    - ``max_queue_bytes``, ``max_queue_lines``: what may wait, in memory, when the disk is slower than the application; what there is
      no room for is dropped and counted.
    - ``queue_policy``: which lines these are: "level-aware", DEBUG and INFO before WARNING and above; "drop-newest"; "drop-oldest";
      "block", where the caller waits up to ``queue_timeout`` seconds first, but never in an event loop or a signal handler.
    - ``rotate``: "midnight", an interval that divides a day ("30s", "15m", "6h"), or None; by the clock of ``rotate_zone``: "local",
      "utc" or a zone's name. Besides, a file ends before it is larger than ``max_file_bytes``.
    - ``retention_days``, ``retention_files``, ``retention_bytes``: what is kept of the files of all processes of the service together.
    - ``compress``: "gzip" or "zstd" for files that have been closed for ``compress_after`` seconds; None leaves them plain.
    - ``file_mode``: of new files, exactly, whatever the umask.
    - ``capture``: warnings, uncaught exceptions and those of event loops as lines, and the trace of a crash in ``*.fault``.
    - ``level_signals``: SIGUSR1 sets the root logger to DEBUG for ten minutes, SIGUSR2 back.
    - ``access_log``: a line for each request that the middleware tracks, in place of the server's own.
    - ``access_exclude``: paths, with ``*`` for anything, or a callable of the ASGI scope: no line for these, unless they fail.
    - ``redact``: whether secrets are kept out of extras and headers; `Redaction` for more of them, or messages too.
    - ``traceback_frames``, ``traceback_bytes``: what is kept of an exception's frames, and of the whole traceback.
    - ``sampling``, ``rate_limit``: `Sampling` of lines of the same message, and a `RateLimit`; those left out are counted, and said.

    Returns a handle with ``flush``, ``stats`` and ``close``. A second call with the same settings gives the same handle; with others,
    the first is closed. Raises ValueError where a setting is wrong, RuntimeError where the directory cannot be made.
    """
    environment = resource_from_env()
    settings = LogSettings(
        service_name=service_name or environment.get("service.name") or "app",
        level=level,
        schema=schema,
        log_dir=Path(log_dir).absolute(),
        console=console,
        file=file,
        retention_days=retention_days,
        max_queue_bytes=max_queue_bytes,
        max_queue_lines=max_queue_lines,
        queue_policy=queue_policy,
        queue_timeout=queue_timeout,
        rotate=rotate,
        rotate_zone=rotate_zone,
        max_file_bytes=max_file_bytes,
        retention_files=retention_files,
        retention_bytes=retention_bytes,
        compress=compress,
        compress_after=compress_after,
        file_mode=file_mode,
        redact=redact,
        traceback_frames=traceback_frames,
        traceback_bytes=traceback_bytes,
        sampling=sampling,
        rate_limit=rate_limit,
        capture=capture,
        level_signals=level_signals,
        access_log=access_log,
        access_exclude=access_exclude,
        resource=tuple(sorted(environment.items())),
    )
    return start(settings)


def setup_logger(
    name: str = "app",
    level: int = logging.DEBUG,
    enable_console: bool = True,
    enable_file: bool = True,
    log_dir: str | os.PathLike[str] = "logs",
    rotate_days: int = 7,
    *,
    schema: str = "flat",
) -> logging.Logger:
    """
    Set up one logger with a file of its own name, in the origin's format, and give it; one that is set up already, as it is.

    Raises ValueError where both outputs are off, the level is not one of the five, or ``rotate_days`` is not a positive integer;
    RuntimeError where the directory cannot be made.
    """
    logger = logging.getLogger(name)
    settings = _logger_settings(logger.name, level, enable_console, enable_file, log_dir, rotate_days, schema)
    if logger.name not in _loggers:
        make_directory(settings)
        _attach(logger, settings)
    return logger


def close_log_queue(timeout: float = 5.0) -> None:
    """
    Write what waits of every logger that `setup_logger` has set up, and close their files; call it when the application ends.

    A line that is logged afterwards opens its file again, so that nothing is lost.
    """
    for handler in list(_loggers.values()):
        handler.writer.close(timeout)


def lazy_logger() -> logging.Logger:
    """Give the origin's singleton, the logger "app" in ``logs``: no file and no directory before its first line."""
    logger = logging.getLogger("app")
    if "app" not in _loggers:
        _attach(logger, _logger_settings("app", logging.DEBUG, True, True, "logs", 7, "flat"))
    return logger


def _logger_settings(
    name: str, level: Any, enable_console: bool, enable_file: bool, log_dir: str | os.PathLike[str], rotate_days: int, schema: str
) -> LogSettings:
    if not enable_console and not enable_file:
        raise ValueError("enable_console=False, enable_file=False: expected at least one of them to be True")
    if type(level) is not int or level not in (10, 20, 30, 40, 50):
        raise ValueError(f"level={level!r}: expected logging.DEBUG, INFO, WARNING, ERROR or CRITICAL")
    if type(rotate_days) is not int or rotate_days <= 0:
        raise ValueError(f"rotate_days={rotate_days!r}: expected a positive integer, a number of days")
    return LogSettings(
        service_name=name,
        level=level,
        schema=schema,
        log_dir=Path(log_dir).absolute(),
        console=enable_console,
        file=enable_file,
        retention_days=rotate_days,
    )


def _attach(logger: logging.Logger, settings: LogSettings) -> None:
    handler = make_handler(settings)
    logger.setLevel(settings.level)
    logger.propagate = False
    logger.addFilter(TrackingIDFilter())
    logger.addHandler(handler)
    _loggers[logger.name] = handler
    flush_at_exit()
    watch_hangup()
