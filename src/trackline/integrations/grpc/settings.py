"""What `instrument` was asked for last: read by every wrapper of ours at each call, so that it may change and end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackline.config import TrackingSettings
from trackline.request import RequestReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackline.config import Trust
    from trackline.targets import Allows


class Settings:
    """None in both: nothing is to be done, or no more."""

    allows: Allows | None = None
    reader: RequestReader | None = None


CURRENT = Settings()


def make_reader(id_headers: Sequence[str], trust: Trust) -> RequestReader:
    """Give what reads the metadata of a call. Raises ValueError where a setting is wrong."""
    if callable(trust):
        asked = trust

        def trusts(scope: Any) -> bool:
            return asked(scope["grpc.context"])

        trust = trusts
    return RequestReader(TrackingSettings(id_headers=id_headers, trust=trust))
