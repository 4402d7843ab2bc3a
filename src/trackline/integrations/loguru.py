"""loguru: its records carry the IDs, and can go through the same queue into the same file as all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackline.logs.foreign import ids_of_now, line_handlers, make_record, say_nowhere

if TYPE_CHECKING:
    from collections.abc import Callable


def instrument() -> None:
    """
    Have every record of loguru carry ``tracking_id``, ``trace_id`` and ``span_id`` in its ``extra``, None where there is none.

    By a patcher, after one that is configured already; what ``bind`` or ``contextualize`` has set stays. For formats of your own, such
    as ``{extra[tracking_id]}``; `add_sink` does not need it. Call it after ``logger.configure(patcher=…)``, which replaces it.
    Raises ImportError where loguru is not there.
    """
    global _patcher, _before
    from loguru import logger

    core: Any = logger._core  # type: ignore[attr-defined]  # noqa: SLF001  (there is no other way to read it)
    if _patcher is not None and core.patcher is _patcher:
        return
    before = core.patcher

    def patch(record: Any) -> None:
        if before is not None:
            before(record)
        if patch is _patcher:
            record["extra"] = {**ids_of_now(), **record["extra"]}

    _patcher, _before = patch, before
    logger.configure(patcher=patch)


def uninstrument() -> None:
    """Undo `instrument`: the patcher that was there before is there again. Never raises."""
    global _patcher, _before  # noqa: PLW0603
    if _patcher is None:
        return
    from loguru import logger

    core: Any = logger._core  # type: ignore[attr-defined]  # noqa: SLF001
    with core.lock:
        if core.patcher is _patcher:  # who has put one of his own around it keeps it, and ours does nothing in it any more
            core.patcher = _before
    _patcher = _before = None


_patcher: Callable[[Any], None] | None = None
_before: Callable[[Any], None] | None = None


def add_sink(level: str | int = 0) -> int:
    """
    Add a sink to loguru that sends its records through our queue; give its number, for ``logger.remove``.

    The lines are those of `trackline.setup_logging` (or of the `setup_logger` of the same name), in its schema, with loguru's own
    level, time, place and formatted message; ``extra`` as that of logging, an exception with its stack trace. They go to our handlers
    only: handlers of others, such as one that sends logging's records to loguru, see nothing of them. Raises ImportError where loguru
    is not there, ValueError for a level that it does not know.
    """
    from loguru import logger

    # The format would be for the text of the message, which is not used.
    return logger.add(_sink, level=level, format=lambda _: "", colorize=False, backtrace=False, diagnose=False)


def _sink(message: Any) -> None:
    global _is_lost  # noqa: PLW0603
    given = message.record
    name = given["name"] or "loguru"
    handlers = line_handlers(name)
    if not handlers and not _is_lost:
        _is_lost = True
        say_nowhere("loguru")
    level, exception = given["level"], given["exception"]
    for handler in handlers:
        if level.no < handler.level:
            continue
        record = make_record(
            name,
            level.no,
            level.name,
            given["message"],
            path=given["file"].path,
            line=given["line"],
            function=given["function"],
            exc_info=None if exception is None else tuple(exception),
            extras=given["extra"],
        )
        record.created = given["time"].timestamp()
        handler.handle(record)


_is_lost = False
