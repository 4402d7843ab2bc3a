"""Standard error as the place where the log says what is wrong with itself."""

from __future__ import annotations

import contextlib
import select
import sys


def say(what: str) -> None:
    """Print a line, if that can be done at once: never waits for who reads it, and never raises."""
    with contextlib.suppress(Exception):  # it may be closed; there is nowhere else to say it
        stream = sys.stderr
        if _takes(stream):
            print(f"trackline: {what}", file=stream)


def _takes(stream: object) -> bool:
    try:
        descriptor = stream.fileno()  # type: ignore[attr-defined]
        poll = select.poll()
    except (OSError, ValueError, AttributeError):  # a test's capture; Windows, which has none
        return True
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
