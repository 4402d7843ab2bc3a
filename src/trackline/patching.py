"""What an integration wraps in a library: each function once, and given back where nobody has wrapped it since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Patches:
    """
    The functions of a library that an integration has wrapped.

    What is wrapped once more by somebody else cannot be taken out: it stays below, so a wrapper must ask whether it is still to do
    anything. A wrapper has ``__wrapped__``, as `functools.wraps` gives it.
    """

    def __init__(self) -> None:
        self._wrapped: list[tuple[Any, str, Any, Any]] = []

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put ``make(original)`` in the place of an attribute, unless ours is there already, perhaps below somebody else's."""
        original = getattr(owner, name)
        if self._is_ours(original):
            return
        wrapper = make(original)
        setattr(owner, name, wrapper)
        self._wrapped.append((owner, name, original, wrapper))

    def undo(self) -> None:
        """Give back the originals. Never raises."""
        for patch in list(self._wrapped):
            owner, name, original, wrapper = patch
            if getattr(owner, name, None) is wrapper:
                setattr(owner, name, original)
                self._wrapped.remove(patch)

    def _is_ours(self, function: Any) -> bool:
        while function is not None:
            if any(function is wrapper for *_, wrapper in self._wrapped):
                return True
            function = getattr(function, "__wrapped__", None)
        return False
