"""Whether the code that runs here may be made to wait."""

from __future__ import annotations

import signal
import sys
import threading
from types import CodeType, FunctionType, MethodType
from typing import Any

_SIGNALS = tuple(int(number) for number in signal.valid_signals())
# What is below the function that makes enumerations of numbers, which takes some hundred microseconds for all signals.
_handler_of = getattr(signal.getsignal, "__wrapped__", signal.getsignal)


def may_wait() -> bool:
    """
    Say whether this thread may wait: not where an event loop runs in it, nor in a signal handler, nor in ``__del__``.

    Event loops are asyncio's (and uvloop's) and Trio's. A signal handler is known by its code, as long as it is the one that is set:
    that of a function, a method, or an object with ``__call__``. Takes some microseconds: to be asked where one is about to wait.
    """
    return not (_is_in_event_loop() or _is_in_finalizer_or_signal_handler())


def _is_in_event_loop() -> bool:
    modules = sys.modules  # a loop that nobody has imported does not run
    if (asyncio := modules.get("asyncio.events")) is not None and asyncio._get_running_loop() is not None:  # noqa: SLF001
        return True
    return (trio := modules.get("trio")) is not None and trio.lowlevel.in_trio_run()


def _is_in_finalizer_or_signal_handler() -> bool:
    is_main = threading.current_thread() is threading.main_thread()  # handlers run in no other
    handlers = _signal_handlers() if is_main else frozenset()
    frame = sys._getframe(2)  # noqa: SLF001  (as logging does)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code in handlers:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _signal_handlers() -> frozenset[CodeType]:
    return frozenset(code for number in _SIGNALS if (code := _code_of(_handler_of(number))) is not None)


def _code_of(handler: Any) -> CodeType | None:
    if isinstance(handler, MethodType):
        handler = handler.__func__
    if not isinstance(handler, FunctionType):
        handler = type(handler).__call__
    return handler.__code__ if isinstance(handler, FunctionType) else None
