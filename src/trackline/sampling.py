"""How many lines of the same message, or of one logger, are kept: the settings, checked when they are made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_LEAST_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Sampling:
    """
    Of each message, the ``first`` lines within ``per`` seconds, and then every ``then_every``-th.

    A message is a logger's name, a level and the text before its arguments are put in, of which the first 256 characters count. Lines
    of the level ``below`` and above are all kept. Raises ValueError where one of these is wrong.
    """

    first: int = 100
    then_every: int = 100
    per: float = 1.0
    below: int = logging.WARNING

    def __post_init__(self) -> None:
        _check(self, ("first", "then_every"))


@dataclass(frozen=True, slots=True)
class RateLimit:
    """
    At most so many ``lines`` within ``per`` seconds, of each message or of each logger.

    A message is what it is for `Sampling`. Lines of the level ``below`` and above are all kept, and do not count. Raises ValueError
    where one of these is wrong.
    """

    lines: int
    per: float = 1.0
    by: Literal["message", "logger"] = "message"
    below: int = logging.WARNING

    def __post_init__(self) -> None:
        _check(self, ("lines",))
        if self.by not in ("message", "logger"):
            raise ValueError(f"by={self.by!r}: expected 'message' or 'logger'")


def sampling_of(option: str, value: object, kind: type[Sampling | RateLimit]) -> Any:
    """Give the value of an option, of a kind, or made of a mapping as in a configuration file. Raises ValueError for any other."""
    if value is None or isinstance(value, kind):
        return value
    if isinstance(value, Mapping):
        try:
            return kind(**value)
        except TypeError as error:
            raise ValueError(f"{option}={value!r}: {error}") from None
    raise ValueError(f"{option}={value!r}: expected None or a trackline.{kind.__name__}")


def _check(given: Any, counts: tuple[str, ...]) -> None:
    for option in counts:
        value = getattr(given, option)
        if type(value) is not int or value < 1:
            raise ValueError(f"{option}={value!r}: expected an integer of at least 1")
    if type(given.per) not in (int, float) or not _LEAST_SECONDS <= given.per < float("inf"):
        raise ValueError(f"per={given.per!r}: expected a number of seconds of at least {_LEAST_SECONDS}")
    if type(given.below) is not int or given.below < 0:
        raise ValueError(f"below={given.below!r}: expected the number of a level, such as logging.WARNING")
