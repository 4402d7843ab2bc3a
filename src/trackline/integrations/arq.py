"""arq: the tracking ID and the trace go with each job, through its retries too."""

from __future__ import annotations

import functools
import logging
import pickle
from collections.abc import Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from arq import connections, worker
from arq.jobs import SerializationError

from trackline.carriers import extract, inject
from trackline.patching import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

_KEY = "trackline"  # in the job as it is stored; a worker that does not know it does not mind
_log = logging.getLogger("trackline")


def instrument() -> None:
    """
    Have each job that this process enqueues carry the ID and the trace of now, and each that it runs, run under what it carries.

    Call it in the module of the worker's settings and where jobs are enqueued; either side works alone as far as it can. A job that
    came without an ID, a cron job for example, gets a new one. The headers are stored beside the job's arguments, with your
    serializer; one that refuses them stores the job without.
    """
    global _is_active  # noqa: PLW0603  (it is the process's jobs that are instrumented)
    _is_active = True
    for owner, name, wrap in _PATCHES:
        _patches.wrap(owner, name, wrap)


def uninstrument() -> None:
    """Undo `instrument`. Never raises."""
    global _is_active  # noqa: PLW0603
    _is_active = False
    _patches.undo()


_is_active = False
_patches = Patches()
_running: ContextVar[ExitStack | None] = ContextVar("trackline_arq", default=None)


def _wrap_serialize(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def serialize_job(*args: Any, serializer: Any = None, **kwargs: Any) -> Any:
        headers: dict[str, Any] = {}
        try:
            if _is_active:
                inject(headers)
        except Exception:  # noqa: BLE001  (never fail a job of the user's)
            _log.warning("a job goes out without its tracking ID", exc_info=True)
        if headers:
            try:
                return original(*args, serializer=lambda job: (serializer or pickle.dumps)({**job, _KEY: headers}), **kwargs)
            except SerializationError:
                _log.debug("a job goes out without its tracking ID: the serializer refused it, or the job itself", exc_info=True)
        return original(*args, serializer=serializer, **kwargs)

    return serialize_job


def _wrap_deserialize(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def deserialize_job_raw(*args: Any, deserializer: Any = None, **kwargs: Any) -> Any:
        headers: Any = None

        def read(raw: bytes) -> Any:
            nonlocal headers
            job = (deserializer or pickle.loads)(raw)
            headers = job.get(_KEY) if isinstance(job, Mapping) else None
            return job

        job = original(*args, deserializer=read, **kwargs)
        try:
            if (stack := _running.get()) is not None:
                stack.enter_context(extract(headers if isinstance(headers, Mapping) else ()))
        except Exception:  # noqa: BLE001
            _log.warning("a job runs without its tracking ID", exc_info=True)
        return job

    return deserialize_job_raw


def _wrap_run(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def run_job(*args: Any, **kwargs: Any) -> Any:
        if not _is_active:
            return await original(*args, **kwargs)
        with ExitStack() as stack:
            token = _running.set(stack)
            try:
                return await original(*args, **kwargs)
            finally:
                _running.reset(token)

    return run_job


_PATCHES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (connections, "serialize_job", _wrap_serialize),
    (worker, "deserialize_job_raw", _wrap_deserialize),
    (worker.Worker, "run_job", _wrap_run),
)
