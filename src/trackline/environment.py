"""The settings as the environment has them: of what code does not say, and where no line of code is ours. Not read at import."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from trackline.config import CONSOLE_FORMS
from trackline.redaction import Redaction
from trackline.sampling import RateLimit, Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: the option that it sets, of what, and how its text is read."""

    name: str
    option: str
    of: str
    read: Callable[[str], Any]
    shape: str

    def value(self, environ: Mapping[str, str]) -> Any:
        """Give the option's value, of a variable that is set. Raises ValueError where its text is wrong."""
        text = environ[self.name].strip()
        try:
            return self.read(text)
        except ValueError:
            raise ValueError(f"{self.name}={text!r}: expected {self.shape}") from None


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _flag(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("true", "1", "yes", "on"):
        return True
    if lowered in ("false", "0", "no", "off"):
        return False
    raise ValueError(text)


def _word_or_flag(*words: str) -> Callable[[str], Any]:
    return lambda text: text if text in words else _flag(text)


def _flag_or_keys(text: str) -> bool | Redaction:
    try:
        return _flag(text)
    except ValueError:
        return Redaction(keys=_names(text))


def _sampling(text: str) -> Sampling:
    first, then_every, per = text.split(",")
    return Sampling(int(first), int(then_every), float(per))


def _rate_limit(text: str) -> RateLimit:
    lines, per, by = text.split(",")
    return RateLimit(int(lines), float(per), cast("Any", by.strip()))


def _word_or_names(*words: str) -> Callable[[str], Any]:
    return lambda text: text if text in words else _names(text)


def _paths(text: str) -> Callable[[Mapping[str, Any]], bool]:
    patterns = _names(text)

    def is_excluded(scope: Mapping[str, Any]) -> bool:
        path = scope.get("path", "")
        return any(fnmatchcase(path, pattern) for pattern in patterns)

    return is_excluded


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text == "none" else read(text)


def _octal(text: str) -> int:
    return int(text, 8)


INSTALL, LOGGING, CLIENTS = "install", "setup_logging", "clients"

VARIABLES = (
    Variable("TRACKLINE_ID_HEADERS", "id_headers", INSTALL, _names, "names of headers, separated by commas"),
    Variable("TRACKLINE_RESPONSE_HEADERS", "response_headers", INSTALL, _names, "names of headers, separated by commas"),
    Variable("TRACKLINE_TRUST", "trust", INSTALL, _word_or_names("all", "none"), "all, none, or networks, separated by commas"),
    Variable("TRACKLINE_EXCLUDE", "exclude", INSTALL, _paths, "paths, with * for anything, separated by commas"),
    Variable("TRACKLINE_OPENAPI", "openapi", INSTALL, _flag, "true or false"),
    Variable("TRACKLINE_PROBLEM_DETAILS", "problem_details", INSTALL, _flag, "true or false"),
    Variable("TRACKLINE_LOGS", "enabled", LOGGING, _flag, "true or false"),
    Variable("TRACKLINE_LOG_LEVEL", "level", LOGGING, str, "a level's name"),
    Variable("TRACKLINE_LOG_SCHEMA", "schema", LOGGING, str, "ecs, otel or flat"),
    Variable("TRACKLINE_LOG_DIR", "log_dir", LOGGING, str, "a directory"),
    Variable("TRACKLINE_LOG_CONSOLE", "console", LOGGING, _word_or_flag(*CONSOLE_FORMS), "auto, pretty, json, true or false"),
    Variable("TRACKLINE_LOG_FILE", "file", LOGGING, _flag, "true or false"),
    Variable("TRACKLINE_LOG_RETENTION_DAYS", "retention_days", LOGGING, int, "a number of days"),
    Variable("TRACKLINE_LOG_RETENTION_FILES", "retention_files", LOGGING, _or_none(int), "a number of files, or none"),
    Variable("TRACKLINE_LOG_RETENTION_BYTES", "retention_bytes", LOGGING, _or_none(int), "a number of bytes, or none"),
    Variable("TRACKLINE_LOG_ROTATE", "rotate", LOGGING, _or_none(str), "midnight, an interval such as 30s, 15m or 6h, or none"),
    Variable("TRACKLINE_LOG_ROTATE_ZONE", "rotate_zone", LOGGING, str, "local, utc, or a zone's name"),
    Variable("TRACKLINE_LOG_MAX_FILE_BYTES", "max_file_bytes", LOGGING, _or_none(int), "a number of bytes, or none"),
    Variable("TRACKLINE_LOG_COMPRESS", "compress", LOGGING, _or_none(str), "gzip, zstd or none"),
    Variable("TRACKLINE_LOG_COMPRESS_AFTER", "compress_after", LOGGING, float, "a number of seconds"),
    Variable("TRACKLINE_LOG_FILE_MODE", "file_mode", LOGGING, _octal, "a mode in octal, such as 640"),
    Variable("TRACKLINE_LOG_MAX_QUEUE_BYTES", "max_queue_bytes", LOGGING, int, "a number of bytes"),
    Variable("TRACKLINE_LOG_MAX_QUEUE_LINES", "max_queue_lines", LOGGING, int, "a number of lines"),
    Variable("TRACKLINE_LOG_QUEUE_POLICY", "queue_policy", LOGGING, str, "level-aware, drop-newest, drop-oldest or block"),
    Variable("TRACKLINE_LOG_QUEUE_TIMEOUT", "queue_timeout", LOGGING, float, "a number of seconds"),
    Variable("TRACKLINE_LOG_CAPTURE", "capture", LOGGING, _flag, "true or false"),
    Variable("TRACKLINE_LOG_LEVEL_SIGNALS", "level_signals", LOGGING, _flag, "true or false"),
    Variable("TRACKLINE_LOG_REDACT", "redact", LOGGING, _flag_or_keys, "true, false, or more keys of secrets, separated by commas"),
    Variable("TRACKLINE_ACCESS_LOG", "access_log", LOGGING, _flag, "true or false"),
    Variable("TRACKLINE_ACCESS_EXCLUDE", "access_exclude", LOGGING, _names, "paths, with * for anything, separated by commas"),
    Variable("TRACKLINE_LOG_TRACEBACK_FRAMES", "traceback_frames", LOGGING, int, "a number of frames"),
    Variable("TRACKLINE_LOG_TRACEBACK_BYTES", "traceback_bytes", LOGGING, int, "a number of bytes"),
    Variable("TRACKLINE_LOG_SAMPLING", "sampling", LOGGING, _sampling, "FIRST,THEN_EVERY,SECONDS, such as 100,100,1"),
    Variable("TRACKLINE_LOG_RATE_LIMIT", "rate_limit", LOGGING, _rate_limit, "LINES,SECONDS,message or logger, such as 100,1,logger"),
    Variable("TRACKLINE_TARGETS", "targets", CLIENTS, _word_or_names("internal", "all"), "internal, all, or hosts and networks"),
)
"""All of them; docs/opentelemetry.md has the same table."""


def from_env(of: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """
    Give the options that the environment sets, as keywords of ``install``, ``setup_logging`` or the clients' ``instrument``.

    What is not set is not there, so that its default holds. Raises ValueError where a text cannot be read: variable, text, what is
    allowed; what an option itself allows is said by whoever takes it.
    """
    environ = os.environ if environ is None else environ
    ours = [variable for variable in VARIABLES if variable.of == of and environ.get(variable.name, "").strip()]
    return {variable.option: variable.value(environ) for variable in ours}


def else_from_env(of: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Make a decorator: options that a call does not give by keyword are those of the environment, where it has them."""

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(function)
        def filled(*args: _P.args, **options: _P.kwargs) -> _T:
            set_there = from_env(of)
            set_there.pop("enabled", None)  # whoever calls has decided that
            return function(*args, **cast("Any", {**set_there, **options}))

        return filled

    return decorate
