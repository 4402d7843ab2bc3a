"""The settings, checked: a wrong one raises ValueError at start-up and says the option, the value and what is allowed."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from importlib.util import find_spec
from pathlib import Path  # noqa: TC003  (a dataclass's annotation)
from typing import Any, Literal
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trackline.redaction import Redaction, redaction_of
from trackline.sampling import RateLimit, Sampling, sampling_of

Scope = Mapping[str, Any]
Trust = Literal["all", "none"] | Sequence[str] | Callable[[Scope], bool]
Exclude = Callable[[Scope], bool]
LineSchema = str | logging.Formatter | Callable[[logging.LogRecord], Mapping[str, Any] | str | bytes]
AccessExclude = Sequence[str] | Callable[[Scope], bool]

SCHEMA_NAMES = ("ecs", "otel", "flat")
QUEUE_POLICIES = ("level-aware", "drop-newest", "drop-oldest", "block")
CONSOLE_FORMS = ("auto", "pretty", "json")
DEFAULT_ID_HEADERS = ("X-Request-ID",)
DEFAULT_RESPONSE_HEADERS = ("X-Request-ID", "X-Tracking-ID")

_is_token = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+").fullmatch  # RFC 9110, section 5.6.2
_INTERVAL = re.compile(r"(\d{1,5})([smh])", re.ASCII).fullmatch
_RESERVED = {"traceparent", "tracestate", "baggage"}


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """How requests are tracked: what `trackline.install` and `TrackingMiddleware` take, checked when it is made."""

    id_headers: Sequence[str] = DEFAULT_ID_HEADERS
    response_headers: Sequence[str] = DEFAULT_RESPONSE_HEADERS
    trust: Trust = "all"
    exclude: Exclude | None = None
    trusts: Callable[[Scope], bool] | None = field(init=False, repr=False, compare=False)
    """Whether the caller of a scope is trusted; None where every caller is."""

    def __post_init__(self) -> None:
        for option in ("id_headers", "response_headers"):
            object.__setattr__(self, option, header_names(option, getattr(self, option)))
        if self.exclude is not None and not callable(self.exclude):
            raise ValueError(f"exclude={self.exclude!r}: expected None or a callable which takes the ASGI scope")
        object.__setattr__(self, "trusts", parse_trust(self.trust))


def header_names(option: str, value: object) -> tuple[str, ...]:
    """
    Check a list of header names; the order is kept, a name that is there twice (in any case) counts once.

    Raises ValueError where it is not a list, or a name is not one (RFC 9110, section 5.1), or one that Trace Context has taken.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError(f"{option}={value!r}: expected a list of header names, such as ('X-Request-ID',)")
    names: dict[str, str] = {}
    for name in value:
        if not isinstance(name, str) or not _is_token(name):
            raise ValueError(f"{option}={value!r}: {name!r} is not a header name (letters, digits and !#$%&'*+-.^_`|~)")
        if name.lower() in _RESERVED:
            raise ValueError(f"{option}={value!r}: {name!r} belongs to the trace context; expected a header of its own")
        names.setdefault(name.lower(), name)
    return tuple(names.values())


def parse_trust(trust: object) -> Callable[[Scope], bool] | None:
    """
    Give the function that says whether the caller of a scope is trusted, or None where all are.

    Networks are compared with ``scope["client"]``, the peer of the connection (or what the server makes of X-Forwarded-For, if it
    was told to). No client's address, as over a Unix socket, is in no network. Raises ValueError for anything not allowed.
    """
    if trust == "all":
        return None
    if trust == "none":
        return _nobody
    if callable(trust):
        return trust
    if isinstance(trust, Sequence) and not isinstance(trust, str | bytes) and trust:
        try:
            return _Networks(tuple(ipaddress.ip_network(network) for network in trust))
        except ValueError as error:
            raise ValueError(f"trust={trust!r}: {error}; expected networks such as '10.0.0.0/8' or 'fd00::/8'") from None
    raise ValueError(f"trust={trust!r}: expected 'all', 'none', a list of networks or a callable")


def _nobody(_scope: Scope) -> bool:
    return False


class _Networks:
    """Whether a client's address is in one of the networks. Addresses repeat, so answers are kept, up to a bound."""

    _MAX_KEPT = 4096

    def __init__(self, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
        self._networks = networks
        self._kept: dict[str, bool] = {}

    def __call__(self, scope: Scope) -> bool:
        client = scope.get("client")
        if not client:
            return False
        host = str(client[0])
        known = self._kept.get(host)
        if known is None:
            known = self._contains(host)
            if len(self._kept) < self._MAX_KEPT:
                self._kept[host] = known
        return known

    def _contains(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        # A dual-stack socket reports an IPv4 peer as ::ffff:10.0.0.1.
        mapped = getattr(address, "ipv4_mapped", None)
        return any(candidate in network for network in self._networks for candidate in (address, mapped) if candidate)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a process logs: what `trackline.setup_logging` takes, checked when it is made."""

    service_name: str
    level: int | str
    schema: LineSchema
    log_dir: Path
    console: bool | str
    file: bool
    retention_days: int
    max_queue_bytes: int = 64 * 1024 * 1024
    max_queue_lines: int = 200_000
    queue_policy: str = "level-aware"
    queue_timeout: float = 1.0
    resource: tuple[tuple[str, str], ...] = ()
    rotate: str | None = "midnight"
    rotate_zone: str = "local"
    max_file_bytes: int | None = 256 * 1024 * 1024
    retention_files: int | None = None
    retention_bytes: int | None = 10 * 1024**3
    compress: str | None = None
    compress_after: float = 3600
    file_mode: int = 0o640
    capture: bool = True
    level_signals: bool = False
    access_log: bool = True
    access_exclude: AccessExclude = ()
    redact: bool | Redaction = True
    traceback_frames: int = 100
    traceback_bytes: int = 64 * 1024
    sampling: Sampling | None = None
    rate_limit: RateLimit | None = None
    redaction: Redaction | None = field(init=False, repr=False, compare=False)
    """What is kept out of the lines; None for nothing."""

    def __post_init__(self) -> None:
        if not isinstance(self.service_name, str) or not self.service_name:
            raise ValueError(f"service_name={self.service_name!r}: expected the service's name, a text")
        object.__setattr__(self, "level", parse_level(self.level))
        if not (self.schema in SCHEMA_NAMES or isinstance(self.schema, logging.Formatter) or callable(self.schema)):
            names = ", ".join(map(repr, SCHEMA_NAMES))
            raise ValueError(f"schema={self.schema!r}: expected one of {names}, a logging.Formatter, or a callable that takes a record")
        if self.console is True:
            object.__setattr__(self, "console", "json")
        if self.console is not False and self.console not in CONSOLE_FORMS:
            raise ValueError(f"console={self.console!r}: expected one of {', '.join(map(repr, CONSOLE_FORMS))}, True or False")
        if not self.console and not self.file:
            raise ValueError("console=False, file=False: expected at least one of them to be True")
        least_of = {"retention_days": 1, "max_queue_bytes": 1024 * 1024, "max_queue_lines": 100}
        least_of |= {"traceback_frames": 1, "traceback_bytes": 1024}
        for option, least in least_of.items():
            value = getattr(self, option)
            if type(value) is not int or value < least:
                raise ValueError(f"{option}={value!r}: expected an integer of at least {least}")
        if self.queue_policy not in QUEUE_POLICIES:
            raise ValueError(f"queue_policy={self.queue_policy!r}: expected one of {', '.join(map(repr, QUEUE_POLICIES))}")
        if isinstance(self.queue_timeout, bool) or not isinstance(self.queue_timeout, int | float) or not 0 < self.queue_timeout <= 60:
            raise ValueError(f"queue_timeout={self.queue_timeout!r}: expected a number of seconds, above 0 and at most 60")
        self._check_files()
        object.__setattr__(self, "access_exclude", check_access_exclude(self.access_exclude))
        object.__setattr__(self, "redaction", redaction_of(self.redact))
        object.__setattr__(self, "sampling", sampling_of("sampling", self.sampling, Sampling))
        object.__setattr__(self, "rate_limit", sampling_of("rate_limit", self.rate_limit, RateLimit))

    def _check_files(self) -> None:
        rotation_seconds(self.rotate)
        zone_of(self.rotate_zone)
        check_compression(self.compress)
        for option, least in (("max_file_bytes", 4096), ("retention_files", 1), ("retention_bytes", 4096)):
            value = getattr(self, option)
            if value is not None and (type(value) is not int or value < least):
                raise ValueError(f"{option}={value!r}: expected None or an integer of at least {least}")
        if type(self.compress_after) not in (int, float) or not 0 <= self.compress_after < float("inf"):
            raise ValueError(f"compress_after={self.compress_after!r}: expected a number of seconds, 0 or more")
        if type(self.file_mode) is not int or self.file_mode & 0o600 != 0o600 or self.file_mode & ~0o666:
            shown = oct(self.file_mode) if type(self.file_mode) is int else repr(self.file_mode)
            raise ValueError(f"file_mode={shown}: expected a mode such as 0o640: the owner reads and writes, nobody executes")


def parse_level(level: int | str) -> int:
    """Give a level as a number. Raises ValueError for a name that logging does not know, and for what is neither."""
    if isinstance(level, int) and not isinstance(level, bool) and level >= 0:
        return level
    known = logging.getLevelNamesMapping()
    if isinstance(level, str) and level.upper() in known:
        return known[level.upper()]
    raise ValueError(f"level={level!r}: expected one of {', '.join(map(repr, known))}, or a number")


def check_access_exclude(exclude: object) -> AccessExclude:
    """Give the paths, or the callable, that say which requests the access log leaves out. Raises ValueError for anything else."""
    if callable(exclude):
        return exclude
    if isinstance(exclude, Sequence) and not isinstance(exclude, str | bytes) and all(type(path) is str and path for path in exclude):
        return tuple(exclude)
    raise ValueError(f"access_exclude={exclude!r}: expected paths such as ['/healthz', '/internal/*'], or a callable of the scope")


def rotation_seconds(rotate: object) -> int | None:
    """
    Give the length of a file's period in seconds, a day for "midnight", or None for None.

    Raises ValueError for anything but an interval of seconds, minutes or hours that divides a day, so that each day has the same ones.
    """
    if rotate is None:
        return None
    if rotate == "midnight":
        return 86_400
    if isinstance(rotate, str) and (match := _INTERVAL(rotate)):
        seconds = int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
        if 0 < seconds < 86_400 and 86_400 % seconds == 0:
            return seconds
    raise ValueError(f"rotate={rotate!r}: expected 'midnight', None, or an interval that divides a day, such as '30s', '15m' or '6h'")


def zone_of(rotate_zone: object) -> tzinfo | None:
    """Give the zone whose clock counts, None for the system's. Raises ValueError for one that is not known here."""
    if rotate_zone == "local":
        return None
    if rotate_zone == "utc":
        return UTC
    if isinstance(rotate_zone, str):
        try:
            return ZoneInfo(rotate_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise ValueError(f"rotate_zone={rotate_zone!r}: expected 'local', 'utc', or a zone of the system's, such as 'Europe/Berlin'")


def check_compression(compress: object) -> None:
    """Raise ValueError where files cannot be compressed so: not known, or a library is missing."""
    if compress not in (None, "gzip", "zstd"):
        raise ValueError(f"compress={compress!r}: expected None, 'gzip' or 'zstd'")
    if compress == "zstd" and sys.version_info < (3, 14) and find_spec("zstandard") is None:
        raise ValueError("compress='zstd': the package zstandard is missing; expected trackline[zstd] to be installed, or 'gzip'")


def resource_from_env() -> dict[str, str]:
    """
    Give the resource's attributes as the environment has them: OTEL_RESOURCE_ATTRIBUTES, and OTEL_SERVICE_NAME, which wins.

    A list of ``key=value``, percent-encoded, separated by commas (OTel, Resource SDK); what is no such pair is left out.
    """
    attributes = {}
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, equals, value = pair.partition("=")
        if equals and key.strip():
            attributes[key.strip()] = unquote(value.strip().strip('"'))
    if name := os.environ.get("OTEL_SERVICE_NAME", "").strip():
        attributes["service.name"] = name
    return attributes
