"""What a process says past logging, into the log too: warnings, uncaught exceptions, those of event loops, and crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackline.logs.event_loops import LoopErrors
from trackline.logs.faults import FaultFile
from trackline.logs.python_warnings import log_warnings
from trackline.logs.uncaught import log_uncaught

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackline.config import LogSettings


class Hooks:
    """
    The hooks of a process, from `install` to `remove`. A hook that was there is called as well, unless it says the same once more.

    May be removed in any order with those of others: one that somebody has wrapped since stays below, and only passes on.
    """

    def __init__(self, settings: LogSettings, flush: Callable[[float], bool]) -> None:
        self._settings, self._flush = settings, flush
        self._undo: list[Callable[[], None]] = []
        self._loops = LoopErrors()
        self._faults = FaultFile(settings)

    def install(self) -> None:
        """Put the hooks in their places. Never raises."""
        self._undo = [log_warnings(), *log_uncaught(self._is_on_console)]
        self._loops.take()
        self._faults.open()

    def take_loops(self) -> None:
        """Look again for kinds of event loops: one may have been imported since."""
        if self._undo:
            self._loops.take()

    def remove(self) -> None:
        """Put back what was there."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self._loops.restore()
        self._faults.close()

    def _is_on_console(self, seconds: float) -> bool:
        """Say whether what was logged is on the console, waiting for it so long."""
        return bool(self._settings.console) and (not seconds or self._flush(seconds))
