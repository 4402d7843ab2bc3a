"""pytest's plugin: the fixture ``tracked_lines``. It imports nothing of Trackline before a test asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackline.testing import TrackedLines


@pytest.fixture
def tracked_lines() -> Iterator[TrackedLines]:
    """Give the lines that are logged in the test, as dicts: ``assert tracked_lines[-1]["message"] == "paid"``."""
    from trackline.testing import capture_lines

    with capture_lines() as lines:
        yield lines
