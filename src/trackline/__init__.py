"""One tracking ID for every request: in the response, in every log line, in the trace, in every call to the next service."""

from typing import TYPE_CHECKING

from trackline._version import __version__
from trackline.carriers import extract, inject
from trackline.context import TRACKING_ID, carry, get_tracking_id, use_tracking_id
from trackline.install import install
from trackline.logs.dictconfig import dict_config, log_handler
from trackline.logs.handler import JSONFormatter, TrackingIDFilter
from trackline.logs.levels import set_level
from trackline.logs.sampling import SamplingFilter
from trackline.logs.setup import close_log_queue, setup_logger, setup_logging
from trackline.middleware import TrackingMiddleware
from trackline.redaction import Redaction
from trackline.sampling import RateLimit, Sampling

if TYPE_CHECKING:
    import logging

    from trackline.level_endpoint import LevelEndpoint

    logger: logging.Logger

__all__ = [
    "TRACKING_ID",
    "JSONFormatter",
    "LevelEndpoint",
    "RateLimit",
    "Redaction",
    "Sampling",
    "SamplingFilter",
    "TrackingIDFilter",
    "TrackingMiddleware",
    "__version__",
    "carry",
    "close_log_queue",
    "dict_config",
    "extract",
    "get_tracking_id",
    "inject",
    "install",
    "log_handler",
    "logger",
    "set_level",
    "setup_logger",
    "setup_logging",
    "use_tracking_id",
]


def __getattr__(name: str) -> object:
    if name == "logger":  # the origin's singleton: only who asks for it has a logger "app" set up
        from trackline.logs.setup import lazy_logger

        return lazy_logger()
    if name == "LevelEndpoint":
        from trackline.level_endpoint import LevelEndpoint

        return LevelEndpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
