"""Ports for the servers that tests start."""

from __future__ import annotations

import random
import socket

# Below those that systems give out by themselves (Linux: from 32768 on): one of these might be a client's the next moment.
_PORTS = range(15_000, 32_000)
_random = random.SystemRandom()  # Hypothesis seeds the other


def free_port() -> int:
    """Give a port of the loopback interface that nobody listens on now, and that nobody is likely to take before a server does."""
    while True:
        port = _random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
