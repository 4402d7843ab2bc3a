"""TracklineInstrumentor: tracking under ``opentelemetry-instrument``, with no line of the application changed."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from trackline.config import TrackingSettings
from trackline.environment import CLIENTS, INSTALL, LOGGING, from_env
from trackline.install import install_default
from trackline.logs.setup import setup_logging
from trackline.logs.stamping import stamp_records

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from trackline.logs.process import Logging

_APPLICATIONS = (("fastapi.applications", "FastAPI"), ("starlette.applications", "Starlette"))
_CLIENTS = ("httpx", "requests", "urllib3", "aiohttp")
_log = logging.getLogger("trackline")


class TracklineInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """
    Has every FastAPI and Starlette application tracked from its making, clients pass the ID on, every log record carry
    ``tracking_id``, and, if asked to, sets up logging.

    Settings come from the environment (`trackline.environment.VARIABLES`). It never raises: an instrumentor that does ends all of
    OpenTelemetry's instrumentation. A wrong setting is said on stderr, and that part is left out. ``uninstrument`` gives
    everything back; applications that were made meanwhile stay tracked.
    """

    _logging: Logging | None = None
    _undo_stamping: Callable[[], None] | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Give what must be there: nothing, each library is looked for by itself."""
        return ()

    def _instrument(self, **_: Any) -> None:
        for part in (self._instrument_applications, self._instrument_clients, self._stamp_records, self._set_up_logging):
            try:
                part()
            except Exception as error:  # noqa: BLE001  (see above)
                # OTel has put a handler of its own on the root logger by now: what goes there is not seen where it starts.
                print(f"trackline: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201

    def _uninstrument(self, **_: Any) -> None:
        for module, name in _APPLICATIONS:
            if (cls := _found(module, name)) is not None and hasattr(cls.__init__, "_trackline"):
                cls.__init__ = cls.__init__._trackline  # noqa: SLF001  (ours)
        for name in _CLIENTS:
            if _is_there(name):
                importlib.import_module(f"trackline.integrations.{name}").uninstrument()
        if self._undo_stamping is not None:
            self._undo_stamping()
            self._undo_stamping = None
        if self._logging is not None:
            self._logging.close()
            self._logging = None

    @staticmethod
    def _instrument_applications() -> None:
        options = from_env(INSTALL)
        TrackingSettings(**{option: value for option, value in options.items() if option not in ("openapi", "problem_details")})
        for module, name in _APPLICATIONS:
            if (cls := _found(module, name)) is not None and not hasattr(cls.__init__, "_trackline"):
                cls.__init__ = _installing(cls.__init__, options)

    @staticmethod
    def _instrument_clients() -> None:
        options = from_env(CLIENTS)
        for name in _CLIENTS:
            if _is_there(name):
                importlib.import_module(f"trackline.integrations.{name}").instrument(**options)

    def _stamp_records(self) -> None:
        self._undo_stamping = stamp_records()

    def _set_up_logging(self) -> None:
        options = from_env(LOGGING)
        if options.pop("enabled", False):
            self._logging = setup_logging(**options)


def _installing(original: Any, options: dict[str, Any]) -> Any:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        try:
            install_default(self, **options)
        except Exception:  # noqa: BLE001  (an application that cannot be tracked is still an application)
            _log.warning("an application goes untracked: %r", self, exc_info=True)

    __init__._trackline = original  # type: ignore[attr-defined]  # noqa: SLF001
    return __init__


def _found(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        return None


def _is_there(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
