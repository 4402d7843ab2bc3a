"""What every line of a process has in common: the service, the process, and the count of its lines."""

from __future__ import annotations

import os
import weakref
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Resource:
    """The service and the process. A forked child is another process, with another nonce and a count of its own."""

    def __init__(self, service_name: str, attributes: Mapping[str, str]) -> None:
        self.service_name = service_name
        self.attributes = dict(attributes)
        self._renew()
        _resources.add(self)

    def _renew(self) -> None:
        self.pid = os.getpid()
        self.nonce = os.urandom(6).hex()
        self.next_number = count(1).__next__

    def event_id(self) -> str:
        """Give the ID of the next line: the process's nonce and its count, without gaps, from 1. Who takes one must use it."""
        return f"{self.nonce}-{self.next_number()}"


_resources: weakref.WeakSet[Resource] = weakref.WeakSet()


def _renew_all() -> None:
    for resource in list(_resources):
        resource._renew()  # noqa: SLF001  (of this module)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
