"""The logging of the process: what `setup_logging` puts in place, and takes away again."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from trackline.exchange import listen, stop_listening
from trackline.logs.access_log import AccessLog
from trackline.logs.exit import flush_at_exit
from trackline.logs.handler import make_directory, make_handler
from trackline.logs.hangup import take_hangup, unwatch_hangup, watch_hangup
from trackline.logs.hooks import Hooks
from trackline.logs.levels import check_signals, go_back, watch_signals
from trackline.logs.loggers import give_back_loggers, take_loggers
from trackline.logs.sampling import sampling_of
from trackline.logs.servers import ServerLoggers, put_back, streams_of
from trackline.startup import on_startup

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackline.config import LogSettings
    from trackline.logs.handler import LineHandler
    from trackline.logs.writer import LogStats


class Logging:
    """The logging of a process, as `setup_logging` has set it up. A context manager, which closes it."""

    def __init__(self, settings: LogSettings) -> None:
        self.settings = settings
        self._handler = make_handler(settings)
        self._servers = ServerLoggers(self._handler)
        self._access = AccessLog(settings.access_exclude, otel=settings.schema == "otel") if settings.access_log else None
        self._hooks = Hooks(settings, self.flush)
        self._root_before: tuple[list[logging.Handler], list[logging.Handler], int] | None = None
        self._stop_signals: Callable[[], None] | None = None
        self._is_installed = False

    def _install(self) -> None:
        if self.settings.level_signals:
            self._stop_signals = watch_signals()
        self._is_installed = True
        root = logging.getLogger()
        streams = streams_of(root)  # basicConfig's: the same lines again, without the ID
        self._root_before = list(root.handlers), streams, root.level
        for handler in streams:
            root.removeHandler(handler)
        root.addHandler(self._handler)
        root.setLevel(self.settings.level)
        self._servers.take()
        take_loggers()
        if self._access is not None:
            listen(self._access)
        if self.settings.capture:
            self._hooks.install()
        on_startup(_take_servers)
        watch_hangup()
        from trackline.logs.metrics import register_metrics  # and OTel's API for metrics: not where Trackline is imported

        register_metrics(_current_stats)

    def leave_root(self) -> LineHandler:
        """Put the root logger back as it was, and give the handler: who configures logging puts it where it is to be."""
        self._restore_root()
        self._servers.restore()
        self._servers.take()
        return self._handler

    def _restore_root(self) -> None:
        if self._root_before is not None:
            root = logging.getLogger()
            root.removeHandler(self._handler)
            before, removed, level = self._root_before
            put_back(root, before, removed)
            root.setLevel(level)
            self._root_before = None

    def _server_started(self) -> None:
        self._servers.take()
        self._hooks.take_loops()

    def flush(self, timeout: float = 5.0) -> bool:
        """Have everything written that was logged before, within a number of seconds; says whether it was."""
        return self._handler.writer.flush(timeout)

    def stats(self) -> LogStats:
        """Give what was written, dropped, and what waits, in this process."""
        return replace(self._handler.writer.stats(), suppressed=sum(one.suppressed for one in sampling_of(self._handler)))

    def close(self, timeout: float = 5.0) -> int:
        """
        Write what waits, within a number of seconds, and put every logger back as it was; give the number of lines not written.

        Safe to call twice.
        """
        global _process  # noqa: PLW0603
        for one in sampling_of(self._handler):
            one.close()
        if self._is_installed:
            self._is_installed = False
            go_back()
            if self._stop_signals is not None:
                self._stop_signals()
            self._restore_root()
            for logger in (logging.getLogger(), *logging.getLogger().manager.loggerDict.values()):
                if isinstance(logger, logging.Logger):  # dictConfig may have put it anywhere
                    logger.removeHandler(self._handler)
            if self._access is not None:
                stop_listening(self._access)
            self._hooks.remove()
            self._servers.restore()
            unwatch_hangup()
            give_back_loggers()
        if _process is self:
            _process = None
        return self._handler.writer.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


_process: Logging | None = None


def current() -> Logging | None:
    """Give the logging of this process, if it is set up."""
    return _process


def start(settings: LogSettings) -> Logging:
    """
    Have the process log by these settings, and give the handle: the same one as long as the settings are the same.

    Raises RuntimeError where the directory cannot be made, and ValueError where the signals cannot be had; then nothing has changed.
    """
    global _process  # noqa: PLW0603  (a process has one root logger)
    if _process is not None and _process.settings == settings:
        return _process
    make_directory(settings)
    if settings.level_signals:
        check_signals()
    if _process is not None:
        _process.close()
    _process = handle = Logging(settings)
    handle._install()  # noqa: SLF001  (its own maker)
    flush_at_exit()
    return handle


def _current_stats() -> LogStats | None:
    handle = _process
    return None if handle is None else handle.stats()


def _take_servers() -> None:
    if _process is not None:
        _process._server_started()  # noqa: SLF001  (of this module)
        flush_at_exit()
        take_hangup()
