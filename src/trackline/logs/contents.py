"""What the lines of a record may say: its texts and values, within limits and without the secrets in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackline.logs.access import access_fields, is_access_log
from trackline.logs.plain import text_of
from trackline.logs.record import error_of, extras_of, message_of
from trackline.logs.redacted import redacted
from trackline.logs.tracebacks import Tracebacks
from trackline.redaction import DEFAULT_REDACTION

if TYPE_CHECKING:
    from logging import LogRecord

    from trackline.redaction import Redaction


class Contents:
    """Reads sound records, as a process's settings have it. Thread-safe."""

    def __init__(self, redaction: Redaction | None = DEFAULT_REDACTION, tracebacks: Tracebacks | None = None) -> None:
        self.redaction = redaction
        self._tracebacks = tracebacks or Tracebacks()
        self._of_texts = redaction if redaction is not None and redaction.messages else None

    def message(self, record: LogRecord) -> str:
        """Give the message with its arguments in it."""
        # Of an access log in any case: the request's target is in it, with its query.
        redaction = self.redaction if is_access_log(record.name) else self._of_texts
        return message_of(record) if redaction is None else redaction.clean(message_of(record))

    def text(self, text: str) -> str:
        """Give a text without secrets, where messages are to have none either."""
        return text if self._of_texts is None else self._of_texts.clean(text)

    def values(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """Give values by their keys without secrets, where messages are to have none either."""
        if self._of_texts is None:
            return values
        return dict(redacted([(text_of(key), value) for key, value in values.items()], self._of_texts))

    def error(self, record: LogRecord) -> tuple[str | None, str | None, str] | None:
        """Give type, message and stack trace of the exception, or None where there is none."""
        error = error_of(record, self._tracebacks)
        if error is None:
            return None
        kind, message, stack = error
        return kind, message and self.text(message), self.text(stack)

    def stack(self, record: LogRecord) -> str | None:
        """Give the stack that was asked for by ``stack_info``, or None."""
        return self.text(self._tracebacks.cut(record.stack_info)) if record.stack_info else None

    def access(self, record: LogRecord, *, otel: bool = False) -> dict[str, Any]:
        """Give the fields of a line of an access log; an empty dict for any other."""
        fields = access_fields(record, otel=otel)
        return dict(redacted(list(fields.items()), self.redaction)) if fields and self.redaction is not None else fields

    def extras(self, record: LogRecord, tracking_id: str | None) -> list[tuple[str, Any]]:
        """Give what the user passed in ``extra=``, in order."""
        extras = extras_of(record, tracking_id)
        return redacted(extras, self.redaction) if extras and self.redaction is not None else extras
