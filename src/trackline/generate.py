"""New trace IDs, which are tracking IDs too."""

from __future__ import annotations

import os
from random import getrandbits


def new_trace_id() -> str:
    """
    Make a trace ID, 32 lower-case hex digits, which is its own tracking ID. Safe in any thread and after a fork.

    128 bits of the process's random generator. One in sixteen looks like a UUID: its 13th digit is changed, never the 17th, so that
    the low 64 bits stay uniformly random (Trace Context Level 2, section 3.2.2.3.1).
    """
    try:
        return _made.pop()
    except IndexError:
        made = _make_trace_ids(64)
        _made.extend(made[1:])
        return made[0]


def looks_like_uuid(digits: str) -> bool:
    """
    Say whether 32 lower-case hex digits may be a UUID without its dashes, of a version that is made anew each time: 1, 4, 6 or 7.

    By its version and variant alone (RFC 9562, sections 4.1 and 4.2), so one random ID in sixteen does. Those of the other versions are
    made of a name, or as somebody likes: they are no IDs of requests, and to take them in would have one random ID in eight look so.
    """
    return digits[16] in "89ab" and digits[12] in "1467"


# Made in batches: every request needs one, and one at a time costs five times as much.
_made: list[str] = []


def _make_trace_ids(count: int) -> list[str]:
    digits = f"{getrandbits(128 * count):0{32 * count}x}"
    made = [digits[at : at + 32] for at in range(0, 32 * count, 32)]
    return [
        f"{one[:12]}{int(one[12], 16) ^ 8:x}{one[13:]}" if looks_like_uuid(one) else one for one in made if one != "0" * 32
    ] or _make_trace_ids(count)


if hasattr(os, "register_at_fork"):  # a forked child must not give out what its parent and its siblings do
    os.register_at_fork(after_in_child=_made.clear)
