"""What calls that make no LogRecord are made lines of: the parts that many have in common, and the few of each one's own."""

from __future__ import annotations

import os
import weakref
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from trackline.identity import derive_trace_id
from trackline.logs.callsite import call_site, fields_of, ids_part
from trackline.logs.dump import MAX_LINE, dump
from trackline.logs.placing import Placing, placing_of
from trackline.logs.plain import clean
from trackline.logs.record import now_in_context
from trackline.logs.redacted import redacted

if TYPE_CHECKING:
    import logging
    from types import FrameType

    from opentelemetry.trace import SpanContext

    from trackline.identity import Identity
    from trackline.logs.queue import LineQueue
    from trackline.logs.schema import EcsSchema

_LABELS = b',"labels":'
_BRACE = ord("{")
_DIGITS = [b"%03d" % number for number in range(1000)]  # found in half the time that a format takes
_MOST_KEPT = 10_000
_MOST_IDS = 1_000  # of requests that are under way, so that the same memory serves again


class Call(NamedTuple):
    """
    What a call said, with nothing in it that can change afterwards, nor be long.

    It names the parts for the reader: a plain tuple of them does, and is made in half the time. And nothing in it may be an object that
    the garbage collector tracks: then it leaves the tuple alone, too, after the first look, however many wait.
    """

    number: int
    nanoseconds: int
    before_message: bytes
    message: str
    end: bytes
    """The line from the first extra on; without its comma and the name ``labels`` where it is nothing but those."""
    ids: bytes | str
    """What the line has of the IDs; or the tracking ID, where the trace ID is derived from that and there is no span."""
    before_thread: bytes
    thread_name: str


class DirectLines:
    """
    Keeps the parts of lines for `trackline.logs.loggers`, and makes the lines of calls, byte for byte as the schema makes a record's.

    Thread-safe. A forked child begins anew.
    """

    def __init__(self, schema: EcsSchema, queue: LineQueue) -> None:
        self._schema = schema
        self._taken = fields_of(schema)
        self._redaction = schema.contents.redaction
        self.resource, self.put_call, self.put = schema.resource, queue.put_call, queue.put
        queue.finish = self.finish
        self._renew()
        _all.add(self)

    @staticmethod
    def suits(schema: EcsSchema) -> bool:
        """Say whether this is for lines of a schema: not for those in whose messages secrets are looked for."""
        redaction = schema.contents.redaction
        return redaction is None or not redaction.messages

    def _renew(self) -> None:
        self.sites: dict[int, tuple[Any, ...]] = {}
        """Call sites, by the address of their instruction; as plain tuples, whose items are found faster."""
        self.ids: dict[str | None, tuple[Identity | None, SpanContext | None, bytes]] = {}
        """What lines have of the IDs, by the tracking ID, behind what else it depends on."""
        self.labels: set[str] = set()
        """Names of extras that are labels of the same name, and no secret."""
        self._placings: dict[tuple[Any, ...], Placing | None] = {}
        self._derived: dict[str, bytes] = {}
        self._threads: dict[str, bytes] = {}
        self._second = 0, b""

    def find_site(self, logger: logging.Logger, level: int, frame: FrameType) -> tuple[Any, ...]:
        """Give what the lines of a frame's place have in common; from now on in `sites`."""
        key = id(frame.f_code) + frame.f_lasti
        site = self.sites.get(key)
        if site is None or site[0] is not frame.f_code or site[1] is not None:  # one of logging's own is the same for all loggers
            site = tuple(call_site(self._schema, logger, level, frame))
            _keep(self.sites, key, site)
        return site

    def find_ids(self, tracking_id: str | None, identity: Identity | None, span: SpanContext | None) -> tuple[Any, Any, bytes]:
        """Give what lines of now have of the IDs; from now on in `ids`. Raises ValueError where that is too long for this way."""
        found = identity, span, ids_part(self._schema, *now_in_context()[:3])
        if tracking_id is not None or span is None:  # else it may be in OTel's context, under the same span or none
            _keep(self.ids, tracking_id, found, _MOST_IDS)
        return found

    def encode_extras(self, extras: dict[Any, Any]) -> bytes | None:
        """Give the end of a line with these extras, or None where they are not plain, or perhaps secret."""
        keys = tuple(extras)
        if keys not in self._placings:
            is_secret = self._redaction is not None and any(type(key) is not str or self._redaction.is_secret(key) for key in keys)
            _keep(self._placings, keys, None if is_secret else placing_of(keys, self._taken))
        placing = self._placings[keys]
        encoded = placing.write(extras) if placing is not None else None
        if placing is None or encoded is None or (self._redaction is not None and self._redaction.suspicious(encoded)):
            return None
        if placing.is_as_given and len(self.labels) < _MOST_KEPT:
            self.labels.update(keys)
        return encoded

    def line(self, call: tuple[Any, ...]) -> bytes:
        """Give the line of one call."""
        entries = [call]
        self.finish(entries)
        return entries[0]  # type: ignore[return-value]

    def finish(self, entries: list[Any]) -> None:
        """Make lines, in place, of the calls among what was queued. Never raises."""
        start, before = self._second
        threads, derived, dumps = self._threads, self._derived, orjson.dumps
        # All at once: a look at many bytes costs little more than one at a few.
        redacts = self._redaction is not None and self._redaction.suspicious(
            b"\n".join([entry[4] for entry in entries if type(entry) is tuple])
        )
        for index, entry in enumerate(entries):
            if type(entry) is not tuple:
                continue
            number, nanoseconds, before_message, message, end, ids, before_thread, thread_name = entry
            try:
                micros = nanoseconds // 1000 - start
                if not 0 <= micros < 1_000_000:
                    start, before, micros = self._begin_second(start + micros)
                try:
                    text = dumps(message)
                except TypeError:  # half a surrogate pair
                    text = dumps(clean(message))
                if redacts:
                    end = self._redacted(end)
                if type(ids) is str:
                    ids = derived.get(ids) or self._derive(ids)
                thread = threads.get(thread_name) or self._find_thread(thread_name)
                name = _LABELS if end[0] == _BRACE else b""
                milli, micro = _DIGITS[micros // 1000], _DIGITS[micros % 1000]
                line = b"".join((before, milli, micro, before_message, text, ids, b"%d" % number, before_thread, thread, name, end))
                entries[index] = line if len(line) < MAX_LINE else dump(orjson.loads(line))  # a format may ask for any width
            except Exception as error:  # noqa: BLE001  (else the batch would be tried again for ever)
                entries[index] = self._schema.failure(f"{self.resource.nonce}-{number}", error, message)

    def _redacted(self, end: bytes) -> bytes:
        # What is more than labels was looked through when it was encoded.
        if self._redaction is None or end[0] != _BRACE or not self._redaction.suspicious(end):
            return end
        labels = redacted(list(orjson.loads(end[:-2]).items()), self._redaction)
        return orjson.dumps(dict(labels)) + b"}\n"

    def _begin_second(self, now: int) -> tuple[int, bytes, int]:
        second, micros = divmod(now, 1_000_000)
        before = strftime('{"@timestamp":"%Y-%m-%dT%H:%M:%S.', gmtime(second)).encode()
        self._second = second * 1_000_000, before
        return second * 1_000_000, before, micros

    def _derive(self, tracking_id: str) -> bytes:
        ids = ids_part(self._schema, clean(tracking_id), derive_trace_id(tracking_id), None)
        _keep(self._derived, tracking_id, ids, _MOST_IDS)
        return ids

    def _find_thread(self, name: str) -> bytes:
        encoded = orjson.dumps(clean(name))
        _keep(self._threads, name, encoded)
        return encoded


def _keep(kept: dict[Any, Any], key: object, value: object, most: int = _MOST_KEPT) -> None:
    if len(kept) >= most:
        kept.clear()
    kept[key] = value


_all: weakref.WeakSet[DirectLines] = weakref.WeakSet()


def _renew_all() -> None:
    for lines in list(_all):
        lines._renew()  # noqa: SLF001  (of this module; process.pid and the nonce are others in a child)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
