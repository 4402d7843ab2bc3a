"""Standard output as a place for lines: JSON for machines, and for a person at a terminal what a person can read."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

from trackline.logs.pretty import pretty
from trackline.terminal import is_terminal, wants_color

if TYPE_CHECKING:
    from typing import TextIO


class Console:
    """
    Writes lines to what ``sys.stdout`` is at that moment, past its buffer: a forked child would write that a second time.

    ``form``: "json" for the lines as they are, "pretty" for a person, "auto" for "pretty" where it is a terminal and "json" elsewhere.
    A reader who is gone, or a stream that is closed, is not an error of the log's.
    """

    def __init__(self, form: str = "json") -> None:
        self._form = form

    def write(self, data: bytes) -> None:
        """Write whole lines; blocks for as long as the reader does. Raises OSError where it cannot."""
        stream = sys.stdout
        if stream is None:  # pythonw, or a daemon
            return
        if self._form != "json" and (self._form == "pretty" or is_terminal(stream)):
            data = _pretty(data, stream)
        try:
            descriptor = stream.fileno()
        except (OSError, ValueError, AttributeError):  # a test's capture, a notebook
            descriptor = None
        if type(descriptor) is not int:
            stream.write(data.decode("utf-8", "replace"))
            stream.flush()
            return
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:  # somebody else made the pipe non-blocking
                select.select([], [descriptor], [], 1.0)


def _pretty(data: bytes, stream: TextIO) -> bytes:
    color = wants_color(stream)
    text = "".join(pretty(line, color=color) for line in data.splitlines(keepends=True))
    return text.encode(getattr(stream, "encoding", None) or "utf-8", "backslashreplace")
