"""
gunicorn's ``logger_class``: the lines of the master and of all workers go where all others go, from the first one.

    # gunicorn.conf.py
    logger_class = "trackline.integrations.gunicorn.Logger"
"""

from __future__ import annotations

from typing import Any

from gunicorn import glogging  # type: ignore[import-untyped]

from trackline.config import resource_from_env
from trackline.environment import LOGGING, from_env
from trackline.logs.process import current
from trackline.logs.setup import setup_logging
from trackline.logs.writer import all_writers


class Logger(glogging.Logger):  # type: ignore[misc]
    """
    Sets up Trackline's logging in gunicorn's master, before anything is logged; each worker has its own queue and file.

    Where gunicorn.conf.py or a ``logconfig_dict`` has set it up, that stays. Otherwise by the environment (`TRACKLINE_LOG_*`); the
    service's name is gunicorn's ``proc_name`` where OTel's variables have none. What gunicorn's own settings ask for is kept: levels,
    access lines with ``accesslog``, files that they name, syslog. A wrong setting ends the master with what is wrong about it.
    """

    def setup(self, cfg: Any) -> None:
        """Set up gunicorn's part, then ours; again when the configuration is reloaded."""
        super().setup(cfg)
        if current() is None:
            options = from_env(LOGGING)
            options.pop("enabled", None)
            setup_logging(_service_name(cfg), **options)

    def reopen_files(self) -> None:
        """Open gunicorn's files anew, and ours: what SIGUSR1 asks for, of the master and of each worker."""
        super().reopen_files()
        for writer in all_writers():
            writer.reopen()


def _service_name(cfg: Any) -> str | None:
    name: str | None = resource_from_env().get("service.name") or cfg.settings["proc_name"].get()
    return name
