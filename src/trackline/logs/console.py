"""Standard output as a place for lines."""

from __future__ import annotations

import os
import select
import sys


class Console:
    """
    Writes lines to what ``sys.stdout`` is at that moment, past its buffer: a forked child would write that a second time.

    A reader who is gone, or a stream that is closed, is not an error of the log's.
    """

    def write(self, data: bytes) -> None:
        """Write whole lines; blocks for as long as the reader does. Raises OSError where it cannot."""
        stream = sys.stdout
        if stream is None:  # pythonw, or a daemon
            return
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
