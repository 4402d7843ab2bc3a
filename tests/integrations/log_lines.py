"""A real set-up of logging into a directory of the test's own, and its lines."""

from __future__ import annotations

import json
import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider

from trackline import setup_logging

tracer = TracerProvider().get_tracer("test")


class Lines:
    def __init__(self, directory):
        self._directory = directory
        self._handles = []

    def set_up(self, schema="ecs", **options):
        self._handles.append(setup_logging("service", schema=schema, log_dir=self._directory, console=False, **options))

    def close(self):
        for handle in self._handles:
            handle.close()
        self._handles.clear()

    def read(self):
        """Give all lines but those that open and close the file."""
        self.close()
        raw = [line for path in sorted(self._directory.glob("*.log")) for line in path.read_text("utf-8").splitlines()]
        parsed = [json.loads(line) for line in raw]
        return [line for line in parsed if not is_ours(line)]

    def one(self):
        [line] = self.read()
        return line


def is_ours(line):
    actions = line.get("event.action", ""), line.get("loc", ""), line.get("event_name", "").removeprefix("trackline.")
    return any(action.startswith("log-") for action in actions)


@pytest.fixture
def lines(tmp_path):
    made = Lines(tmp_path)
    yield made
    made.close()
    logging.getLogger().setLevel(logging.WARNING)
