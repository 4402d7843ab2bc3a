"""Set-up by `logging.config.dictConfig`, in code or from a file: ``uvicorn --log-config``, gunicorn's ``logconfig_dict``, others."""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from trackline.environment import LOGGING, from_env
from trackline.logs.setup import setup_logging

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackline.logs.handler import LineHandler

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _with_keywords_of(function: Callable[_P, Any]) -> Callable[[Callable[..., _T]], Callable[_P, _T]]:
    signature = inspect.signature(function)

    def make(inner: Callable[..., _T]) -> Callable[_P, _T]:
        @functools.wraps(inner)
        def checked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            return inner(**signature.bind(*args, **kwargs).arguments)

        vars(checked)["__signature__"] = signature.replace(return_annotation=inspect.signature(inner).return_annotation)
        return checked

    return make


@_with_keywords_of(setup_logging)
def dict_config(**options: Any) -> dict[str, Any]:
    """
    Give a complete configuration for `logging.config.dictConfig`, with the keywords of `setup_logging` and the same lines.

    Of plain values only, if yours are: it can be written to a file as JSON or YAML. A wrong value is found by dictConfig, which raises
    ValueError; an option that there is not raises TypeError here.
    """
    # The root logger's, which the handler does not set.
    level = options.pop("level") if "level" in options else from_env(LOGGING).get("level", "INFO")
    if "log_dir" in options:
        options["log_dir"] = os.fspath(options["log_dir"])
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"trackline": {"()": "trackline.log_handler", **options}},
        "loggers": {},
        "root": {"level": level, "handlers": ["trackline"]},
    }


@_with_keywords_of(setup_logging)
def log_handler(**options: Any) -> LineHandler:
    """
    Give the handler of the process, for a configuration of one's own: ``"handlers": {"log": {"()": "trackline.log_handler", …}}``.

    It takes the keywords of `setup_logging` and does all that it does, save that the handler is on no logger yet, and no level is set.
    The servers' loggers are taken over where it is put on the root logger. A process has one.
    """
    return setup_logging(**options).leave_root()
