"""Python's warnings, in the log: with the place that they are about, and their category as a field."""

from __future__ import annotations

import logging
import warnings
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from trackline.logs.hooking import hook, log_at
from trackline.logs.plain import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

LOGGER = "py.warnings"  # that of logging.captureWarnings
_IS_LOGGING = ContextVar("trackline_logs_a_warning", default=False)  # a handler of the user's may warn, each time


def log_warnings() -> Callable[[], None]:
    """
    Log each warning that is shown, as WARNING, at the place that it is about; gives a function that undoes it.

    Which ones are shown is up to the filters, as ever. What is written to a file, and what is recorded by ``catch_warnings``, is not
    logged. A ``showwarning`` of somebody else's is called too; Python's own, and logging's, say the same and are not.
    """

    def log_warning(
        previous: Any,
        message: Any,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is None and not _IS_LOGGING.get():
            token = _IS_LOGGING.set(True)
            text = f"{category.__name__}: {text_of(message)}"
            place = (filename, lineno, None)
            try:
                is_said = log_at(LOGGER, logging.WARNING, text, place, extra={"warning.category": category.__name__})
            finally:
                _IS_LOGGING.reset(token)
            if is_said and getattr(previous, "__module__", "") in ("warnings", "_py_warnings", "logging"):
                return
        previous(message, category, filename, lineno, file, line)

    return hook(warnings, "showwarning", log_warning)
