"""Lines as the user's own formatter makes them."""

from __future__ import annotations

import logging
from copy import copy
from typing import TYPE_CHECKING, Any

from trackline.logs.dump import MAX_LINE, dump
from trackline.logs.plain import clean, text_of
from trackline.logs.record import is_sound, mended, now_in_context
from trackline.logs.schema import SCHEMAS, EcsSchema, Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trackline.logs.contents import Contents
    from trackline.logs.resource import Resource

    Format = logging.Formatter | Callable[[logging.LogRecord], "Mapping[str, Any] | str | bytes"]


class OwnSchema(Schema):
    r"""
    Lines of a `logging.Formatter`, or of a callable that takes a record and gives a dict, which becomes JSON, a text or bytes.

    It is given a copy of the record, which has ``tracking_id``, ``trace_id`` and ``span_id`` (each may be None), and its extras without
    secrets. Newlines in what it gives become ``\n``, and what is too long is cut, in the middle. Where it raises, or gives something
    else, there is a line in ECS that says so, with the message. Its lines have no number in the count of ``event.id``; the log's own
    lines, which open and close it, do, and are in ECS.
    """

    name = "own"

    def __init__(self, form: Format, resource: Resource, contents: Contents | None = None) -> None:
        super().__init__(resource, contents)
        self._form = form.format if isinstance(form, logging.Formatter) else form
        self._ecs = EcsSchema(resource, contents)

    def line(self, record: logging.LogRecord) -> bytes:
        """Give the line of a record. Never raises."""
        try:
            return self.encode(record, "")
        except Exception as error:  # noqa: BLE001  (it is the user's)
            return self._failed(record, error)

    def encode(self, record: logging.LogRecord, event_id: str) -> bytes:
        """Give the line of a record. Raises what the formatter does, and TypeError where it gives what is no line."""
        made: object = self._form(self._copy(record if is_sound(record) else mended(record)))
        if isinstance(made, dict):
            return dump(self.contents.values(made))
        if isinstance(made, str):
            return _one_line(self.contents.text(clean(made)).encode())
        if isinstance(made, bytes):
            return _one_line(made)
        raise TypeError(f"a formatter gave {type(made).__name__}, not a dict, str or bytes")

    def encode_notice(self, event_id: str, action: str, message: str, facts: Mapping[str, Any]) -> bytes:
        """Give a line of our own."""
        return self._ecs.encode_notice(event_id, action, message, facts)

    def _copy(self, record: logging.LogRecord) -> logging.LogRecord:
        # What a formatter hangs on to it, and what is redacted, is for no other handler.
        given = copy(record)
        tracking_id, given.trace_id, given.span_id, _ = now_in_context(record)
        vars(given).update(self.contents.extras(record, tracking_id))
        given.tracking_id = tracking_id
        return given

    def _failed(self, record: logging.LogRecord, error: Exception) -> bytes:
        facts = {"error": type(error).__name__, "reason": self.contents.text(text_of(error)[:1000])}
        for fact, attribute in (("logger", "name"), ("level", "levelname")):
            facts[fact] = text_of(vars(record).get(attribute))[:1000]
        try:
            facts["message"] = self.contents.message(record)[:10_000]
        except Exception:  # noqa: BLE001  (no record at all)
            facts["message"] = text_of(record)[:1000]
        return self.notice("format-error", "the formatter failed on a record", facts)


def schema_of(schema: str | Format, resource: Resource, contents: Contents) -> Schema:
    """Give a schema by its name, or that of the user's own formatter."""
    return SCHEMAS[schema](resource, contents) if isinstance(schema, str) else OwnSchema(schema, resource, contents)


def _one_line(made: bytes) -> bytes:
    made = made.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in made or b"\r" in made:
        made = made.replace(b"\r", b"\\r").replace(b"\n", b"\\n")
    if len(made) < MAX_LINE - 1:
        return made + b"\n"
    room = MAX_LINE - 100
    head = room // 3
    start, end = made[:head].decode("utf-8", "ignore"), made[head - room :].decode("utf-8", "ignore")
    return f"{start}… [{len(made) - room} bytes cut] …{end}\n".encode()
