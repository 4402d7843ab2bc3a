"""What is set up in one test is taken down after it."""

import logging
import time

import pytest

from trackline import setup_logging
from trackline.environment import VARIABLES
from trackline.logs import files, process, setup
from trackline.logs import writer as writer_module


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch):
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", *(variable.name for variable in VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def loggers_as_they_were():
    yield
    if (handle := process.current()) is not None:
        handle.close()
    for name, handler in list(setup._loggers.items()):
        logger = logging.getLogger(name)
        handler.writer.close()
        logger.handlers, logger.filters, logger.propagate = [], [], True
        logger.setLevel(logging.NOTSET)
    setup._loggers.clear()


@pytest.fixture
def in_zone(monkeypatch):
    """Give a function that sets the zone of the process."""

    def set_zone(zone):
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def log_to(monkeypatch):
    """Give a function that sets the process up to log into a directory; what was refused is soon tried again."""
    monkeypatch.setattr(writer_module, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(files, "_AGAIN_SECONDS", 0.0)
    handles = []

    def log_to(directory, **options):
        handles.append(setup_logging("orders", log_dir=directory, console=False, **options))
        return handles[-1]

    yield log_to
    for handle in handles:
        handle.close()
