"""What is to be done once the server has set itself up: the first moment that an ASGI application sees is its lifespan's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_callbacks: list[Callable[[], None]] = []


def on_startup(callback: Callable[[], None]) -> None:
    """Have a function called when the application starts; called once for each application, so it must bear that."""
    if callback not in _callbacks:
        _callbacks.append(callback)


def server_started() -> None:
    """Call what has been asked for."""
    for callback in _callbacks:
        callback()
