"""How a hook of ours takes a place, passes on, and leaves again; and how it logs something that happened elsewhere."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    Place = tuple[str, int, str | None]


def hook(owner: Any, name: str, ours: Callable[..., Any]) -> Callable[[], None]:
    """Put ``ours(previous, *args)`` in the place of a module's function; give a function that undoes it, and may come at any time."""
    previous = getattr(owner, name)
    is_on = True

    def hooked(*args: Any, **kwargs: Any) -> Any:
        return ours(previous, *args, **kwargs) if is_on else previous(*args, **kwargs)

    setattr(owner, name, hooked)

    def undo() -> None:
        nonlocal is_on
        is_on = False
        if getattr(owner, name) is hooked:
            setattr(owner, name, previous)

    return undo


def log_at(name: str, level: int, message: str, place: Place, *, exc_info: Any = None, extra: Mapping[str, Any] | None = None) -> bool:
    """Log something as though it had been logged at a place, which is path, line and function; says whether its logger takes it."""
    logger = logging.getLogger(name)
    if not logger.isEnabledFor(level):
        return False
    path, line, function = place
    record = logger.makeRecord(name, level, path, line, message, (), exc_info, function, extra)
    logger.handle(record)
    return True


def raised_at(trace: TracebackType | None) -> Place:
    """Give the place where an exception was raised."""
    if trace is None:
        return "(unknown file)", 0, None  # as logging says it
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return code.co_filename, trace.tb_lineno, code.co_name
