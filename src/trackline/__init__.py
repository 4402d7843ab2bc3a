"""One tracking ID for every request: in the response, in every log line, in the trace, in every call to the next service."""

from trackline._version import __version__
from trackline.context import TRACKING_ID, carry, get_tracking_id, use_tracking_id
from trackline.install import install
from trackline.middleware import TrackingMiddleware

__all__ = [
    "TRACKING_ID",
    "TrackingMiddleware",
    "__version__",
    "carry",
    "get_tracking_id",
    "install",
    "use_tracking_id",
]
