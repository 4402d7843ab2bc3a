"""
One service of the demo, in a process of its own: uvicorn, on a socket that is there already.

Standard input is a pipe from the demo that nobody writes to: when it closes, the demo is gone, however it went, and the service ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import uvicorn


def main(application: str, descriptor: int, workers: int) -> None:
    """Serve until SIGTERM, or until the demo is gone."""
    threading.Thread(target=_end_with_the_demo, daemon=True).start()
    uvicorn.run(application, fd=descriptor, workers=workers, timeout_graceful_shutdown=2)


def _end_with_the_demo() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
