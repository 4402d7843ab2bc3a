"""Processes as they write their logs, or lose lines, and what an audit should say of them."""

import json
from dataclasses import dataclass, field

NONCE = "0123456789ab"


def made(number, message="paid", *, nonce=NONCE, schema="ecs", action=None, **facts):
    """Make a line as it was logged, or as a shipper has written it out again."""
    time, event_id = f"2026-11-22T14:40:{number % 60:02}.000001Z", f"{nonce}-{number}"
    logger = "trackline" if action else "app"
    if schema == "otel":
        fields = {"timestamp": time, "severity_text": "INFO", "body": message}
        fields |= {"event_name": f"trackline.{action}"} if action else {}
        fields |= {"instrumentation_scope": {"name": logger}, "resource": {"service.name": "orders", "process.pid": 7}}
        fields["attributes"] = {"log.record.uid": event_id, **facts}
    else:
        fields = {"@timestamp": time, "message": message, "event.id": event_id, "service.name": "orders", "process.pid": 7}
        fields |= {"event.action": action} if action else {}
        fields |= {"log.logger": logger, "labels": facts}
    if schema == "shipped":
        fields = {"json": {**fields, "event": {"id": fields.pop("event.id"), "action": fields.pop("event.action", None)}}}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def opening(number, file_number=1, **options):
    return made(number, "begins", action="log-open", host="web-1", file_number=file_number, **options)


def closing(number, dropped=0, **options):
    return made(number, "ends", action="log-close", lines=number - 2 - dropped, dropped=dropped, **options)


@dataclass
class Process:
    """A process that writes lines into segments, a file each, by ``write(slot, segment, line)``; it knows what became of each."""

    slot: int
    nonce: str
    schema: str
    write: object
    number: int = 0
    segment: int = 0
    is_closed: bool = False
    dropped: int = 0
    pending: set = field(default_factory=set)
    declared: set = field(default_factory=set)
    said: list = field(default_factory=list)  # of each notice: how many, and in which segment
    openings: list = field(default_factory=list)
    again: list = field(default_factory=list)  # what may be written again
    there: list = field(default_factory=list)  # of each line that is in a file: its number and its segment

    def __post_init__(self):
        self.open()

    def next(self):
        self.number += 1
        return self.number

    def put(self, line, number):
        self.write(self.slot, self.segment, line)
        self.there.append((number, self.segment))

    def options(self):
        return {"nonce": self.nonce, "schema": self.schema}

    def open(self):
        number = self.next()
        self.openings.append(number)
        self.put(opening(number, self.segment + 1, **self.options()), number)

    def line(self, message="paid", number=None):
        number = number or self.next()
        self.again.append((number, message))
        self.put(made(number, message, **self.options()), number)

    def drop(self):
        self.pending.add(self.next())
        self.dropped += 1

    def tear(self, kept):
        whole = made(self.next(), **self.options())
        # Without two braces at the least: what is whole inside of a shipper's wrapping is not lost.
        self.write(self.slot, self.segment, whole[: max(1, int(kept * (len(whole) - 4)))] + b"\n")

    def write_again(self, index):
        if self.again:
            number, message = self.again[index]
            self.put(made(number, message, **self.options()), number)

    def notice(self):
        if self.pending:
            number = self.next()
            self.said.append((len(self.pending), self.segment))
            self.put(made(number, action="log-drop", dropped=len(self.pending), **self.options()), number)
            self.declared |= self.pending
            self.pending = set()

    def rotate(self, *, is_late=False):
        self.notice()
        late = self.next() if is_late else None  # it waits while the next file is opened
        self.segment += 1
        self.open()
        if late:
            self.line(number=late)

    def close(self):
        number = self.next()
        self.put(closing(number, self.dropped, **self.options()), number)
        self.is_closed = True

    def expected(self, gone):
        """Say what an audit should find where the first segments are gone; None where nothing is left."""
        here = [number for number, segment in self.there if segment >= gone]
        if not here:
            return None
        present, floor = set(here), self.openings[gone] if gone else 1
        # What only the closing line declares may have been in a file that is gone.
        declared = self.declared | (self.pending if self.is_closed and not gone else set())
        said = sum(count for count, segment in self.said if segment >= gone)
        absent = set(range(floor, max(here))) - present
        return {
            "highest": max(here),
            "lines": len(present),
            "missing": len(absent - declared),
            "earlier": len(set(range(1, floor)) - present),
            "dropped": max(said, self.dropped) if self.is_closed else said,
            "duplicated": len(here) - len(present),
            "is_closed": self.is_closed,
        }, {
            "absent": absent,
            "undeclared": absent - declared,
            "duplicated": {number for number in here if here.count(number) > 1},
        }
