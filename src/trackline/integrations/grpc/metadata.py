"""The metadata that a call goes out with: what is there already, and the IDs beside it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from trackline.carriers import inject
from trackline.integrations.grpc.hosts import hosts_of
from trackline.integrations.grpc.settings import CURRENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    Pairs = Iterable[tuple[str, Any]]

_log = logging.getLogger("trackline")


def with_ids(metadata: Any, target: str | bytes) -> Any:
    """Give a call's metadata with ours, if they may go where its channel leads to. Never raises."""
    try:
        allows = CURRENT.allows
        if allows is None or not all(allows(host, port) for host, port in hosts_of(target)):
            return metadata
        added = ids_beside(metadata)
        return (*(metadata or ()), *added) if added else metadata
    except Exception:  # noqa: BLE001  (never fail a call of the user's)
        say_lost()
        return metadata


def ids_beside(metadata: Pairs | None) -> list[tuple[str, str]]:
    """Give the metadata that is to be added; names are in lower case in all of it."""
    carrier = {str(name).lower(): value for name, value in metadata or ()}
    before = set(carrier)
    inject(carrier)
    return [(name.lower(), value) for name, value in carrier.items() if name.lower() not in before]


def say_lost() -> None:
    """Say in the log which error of ours it was."""
    _log.warning("a call goes out without its tracking ID", exc_info=True)
