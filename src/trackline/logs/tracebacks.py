"""Tracebacks within limits: frames, exceptions in a chain, members of a group, bytes. Never the values of local variables."""

from __future__ import annotations

import traceback
from itertools import islice
from textwrap import indent
from typing import TYPE_CHECKING

from trackline.logs.plain import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

FRAMES = 100
BYTES = 64 * 1024

_CHAIN = 16
_EXCEPTIONS = 50
_WIDTH, _DEPTH = 15, 10  # as the traceback module has it
_FARTHEST = 1000
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


class Tracebacks:
    """
    Makes the text of exceptions. Immutable, thread-safe.

    Within the limits it is that of `traceback.format_exception`. Of what is longer: of each exception the first third of ``frames`` and
    the last ones, of a chain the 15 nearest exceptions and the first (of a thousand), of a group 15 members and groups 10 levels deep,
    50 exceptions in all, and of the text as a whole the first third of ``most_bytes`` and its end. It says what is left out. Memory and
    time are bounded by the limits (but for counting frames), also where causes go round in a circle.
    """

    def __init__(self, frames: int = FRAMES, most_bytes: int = BYTES) -> None:
        self.frames, self.most_bytes = frames, most_bytes

    def text(self, error: BaseException, trace: TracebackType | None) -> str:
        """Give the text of an exception with its causes. Raises what the exception's own methods raise."""
        is_short = all(
            depth <= _DEPTH and _count(of, self.frames + 1) <= self.frames and number < _CHAIN and _width(one) <= _WIDTH
            for number, (one, of, depth) in enumerate(_all_of(error, trace))
        )
        pieces = traceback.format_exception(type(error), error, trace) if is_short else _Layout(self).chain(error, trace, _DEPTH)
        return self.cut("".join(pieces).rstrip("\n"))

    def cut(self, text: str) -> str:
        """Give a traceback or a stack, cut in its middle where it is too long."""
        if len(text) * 4 <= self.most_bytes or len(encoded := text.encode("utf-8", "replace")) <= self.most_bytes:
            return text
        head = self.most_bytes // 3
        start, end = encoded[:head].decode("utf-8", "ignore"), encoded[head - self.most_bytes :].decode("utf-8", "ignore")
        return f"{start}\n… [{len(encoded) - self.most_bytes} bytes cut] …\n{end}"


class _Layout:
    """The text of one exception that is beyond the limits."""

    def __init__(self, limits: Tracebacks) -> None:
        self._limits = limits
        self._left = _EXCEPTIONS

    def chain(self, error: BaseException, trace: TracebackType | None, depth: int) -> list[str]:
        """Give the texts of an exception and of those before it, the first one first."""
        chain: list[tuple[BaseException, TracebackType | None, str]] = []
        first, between = None, -1
        seen: set[int] = set()
        one: BaseException | None = error
        link = ""
        while one is not None and id(one) not in seen and len(seen) < _FARTHEST:
            seen.add(id(one))
            this = one, trace if one is error else one.__traceback__, link
            if len(chain) < _CHAIN - 1:
                chain.append(this)
            else:
                first, between = this, between + 1
            one, link = _before(one)
        pieces = []
        if first is not None:
            pieces += [
                *self._one(first[0], first[1], depth),
                f"\n[… {between} more exceptions, left out …]\n\n" if between else first[2],
            ]
        for member, of, link in reversed(chain):
            pieces += [*self._one(member, of, depth), link]
        return pieces

    def _one(self, error: BaseException, trace: TracebackType | None, depth: int) -> list[str]:
        self._left -= 1
        members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        pieces = []
        if trace is not None and self._left >= 0:
            pieces = ["Exception Group " if members else "", "Traceback (most recent call last):\n", *self._stack(trace)]
        pieces += _last_lines(error)
        shown = 0
        for number, member in enumerate(members[: _WIDTH if depth else 0], 1):
            if self._left <= 0:
                break
            shown = number
            text = self._limits.cut("".join(self.chain(member, member.__traceback__, depth - 1)))
            pieces += (f"---------------- {number} of {len(members)} ----------------\n", indent(text, "    "))
        if shown < len(members):
            pieces.append(f"[… {len(members) - shown} more exceptions, left out …]\n")
        return pieces

    def _stack(self, trace: TracebackType) -> list[str]:
        total, most = _count(trace, None), self._limits.frames
        if total <= most:
            return _summary(trace, 0, total).format()
        head = most // 3
        tail = total - most + head
        left_out = f"  [… {total - most} more frames, left out …]\n"
        return [*_summary(trace, 0, head).format(), left_out, *_summary(trace, tail, total).format()]


def _all_of(error: BaseException, trace: TracebackType | None) -> Iterator[tuple[BaseException, TracebackType | None, int]]:
    """Give an exception, those before it and those in groups, each once, with its depth in groups."""
    seen: set[int] = set()
    waiting: list[tuple[BaseException, TracebackType | None, int]] = [(error, trace, 0)]
    while waiting:
        one, of, depth = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one, of, depth
        if (before := _before(one)[0]) is not None:
            waiting.append((before, before.__traceback__, depth))
        if isinstance(one, BaseExceptionGroup):
            waiting += ((member, member.__traceback__, depth + 1) for member in one.exceptions[:_WIDTH])


def _before(error: BaseException) -> tuple[BaseException | None, str]:
    """Give the exception that is shown above this one, and what stands between them."""
    if error.__cause__ is not None:
        return error.__cause__, _CAUSE
    return (None, "") if error.__suppress_context__ else (error.__context__, _CONTEXT)


def _width(error: BaseException) -> int:
    return len(error.exceptions) if isinstance(error, BaseExceptionGroup) else 0


def _count(trace: TracebackType | None, most: int | None) -> int:
    return sum(1 for _ in islice(traceback.walk_tb(trace), most))


def _summary(trace: TracebackType, first: int, last: int) -> traceback.StackSummary:
    frames = []
    at: TracebackType | None = trace
    for number in range(last):
        if at is None:
            break
        if number >= first:
            code = at.tb_frame.f_code
            # As the traceback module does it: the columns of the instruction, for the carets under its line.
            _, end_line, column, end_column = next(islice(code.co_positions(), at.tb_lasti // 2, None), (None, None, None, None))
            frames.append(
                traceback.FrameSummary(
                    *(code.co_filename, at.tb_lineno, code.co_name),
                    lookup_line=False,
                    end_lineno=end_line,
                    colno=column,
                    end_colno=end_column,
                )
            )
        at = at.tb_next
    return traceback.StackSummary.from_list(frames)


def _last_lines(error: BaseException) -> list[str]:
    # Not format_exception_only(): that makes objects of the whole chain, and of all members of a group, for these lines.
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    text = text_of(error)
    notes = getattr(error, "__notes__", None)
    return [f"{name}: {text}\n" if text else f"{name}\n", *(f"{text_of(note)}\n" for note in (notes if type(notes) is list else ()))]
