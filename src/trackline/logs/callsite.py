"""The parts of a line that are the same for every call at one place in the code, as the schema itself makes them."""

from __future__ import annotations

import logging
import os
import re
from contextvars import Context
from typing import TYPE_CHECKING, NamedTuple

import orjson

from trackline.logs.access import is_access_log
from trackline.logs.fields import ECS_VERSION
from trackline.logs.record import is_sound

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from trackline.logs.schema import EcsSchema

_INTERNAL = logging._srcfile  # noqa: SLF001  (whose frames its findCaller leaves out)
_level_names = logging._levelToName  # noqa: SLF001  (what getLevelName() looks into)
_MESSAGE, _EVENT, _THREAD = "\x00message\x00", "\x00event\x00", "\x00thread\x00"
"""What stands where a line is cut; one in which a name has such characters is cut nowhere."""
_cut = re.compile(
    rb'\{"@timestamp":"1970-01-01T00:00:00\.000000(Z"[^\\]*)"\\u0000message\\u0000","ecs\.version":"[^\\]*","event\.id":'
    rb'"\\u0000event\\u0000(".*)"\\u0000thread\\u0000"\}\n'
).fullmatch
_VERSION = f',"ecs.version":"{ECS_VERSION}"'.encode()
_MOST = 16 * 1024


class CallSite(NamedTuple):
    """One place in the code that logs, with one logger and on one level: what is between the parts of its lines that change."""

    code: CodeType
    logger: logging.Logger | None
    """None for a frame of logging's own, which is nobody's place: its caller's is."""
    level_name: str | None
    """None for a level that has no name."""
    before_message: bytes | None
    """From the timestamp's quote to the message; None where a line of this place is more than its parts."""
    before_thread: bytes
    """From the quote of the event's ID to the thread's name."""


def call_site(schema: EcsSchema, logger: logging.Logger, level: int, frame: FrameType) -> CallSite:
    """Give the constant parts of the lines that are logged at a frame's place."""
    code = frame.f_code
    path = os.path.normcase(code.co_filename)  # as logging's findCaller has it
    if path == _INTERNAL:
        return CallSite(code, None, None, None, b"")
    record = logging.LogRecord(logger.name, level, path, frame.f_lineno, _MESSAGE, None, None, code.co_name)
    record.created, record.threadName = 0.0, _THREAD
    parts, level_name = None, _level_names.get(level)
    # A server's access log is read otherwise; frames of the import system are no place either, for logging.
    if level_name and is_sound(record) and not is_access_log(logger.name) and not ("importlib" in path and "_bootstrap" in path):
        parts = _cut(Context().run(schema.encode, record, _EVENT))
    if parts is None or len(parts[0]) > _MOST:
        return CallSite(code, logger, level_name, None, b"")
    return CallSite(code, logger, level_name, parts[1], parts[2])


def ids_part(schema: EcsSchema, tracking_id: str | None, trace_id: str | None, span_id: str | None) -> bytes:
    """Give what is between the message and the number in the event's ID. Raises ValueError where it is longer than any should be."""
    ids = b"" if tracking_id is None else b',"tracking_id":' + orjson.dumps(tracking_id)
    if trace_id is not None:
        ids += b',"trace.id":"%b"' % trace_id.encode()
    if span_id is not None:
        ids += b',"span.id":"%b"' % span_id.encode()
    part = b'%b%b,"event.id":"%b-' % (_VERSION, ids, schema.resource.nonce.encode())
    if len(part) > _MOST:
        raise ValueError(f"tracking_id={tracking_id!r}: too long for this way")
    return part


def fields_of(schema: EcsSchema) -> frozenset[str]:
    """Give the names of the fields that a line has of itself, which no extra's value may have."""
    record = logging.LogRecord("", logging.INFO, "", 0, "", None, None, "")
    return frozenset(orjson.loads(schema.encode(record, ""))) | {"tracking_id", "trace.id", "span.id"}
