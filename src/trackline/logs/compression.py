"""Compress files that have been closed for a while: in a thread of its own, by one process, with no moment at which a line is lost."""

from __future__ import annotations

import os
import stat
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from contextvars import Context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from trackline.logs.names import LogName, read_name
from trackline.logs.place import service_of

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SUFFIXES = {"gzip": "gz", "zstd": "zst"}
_CHUNK = 256 * 1024
_REST = 2.0  # times what a chunk has taken: the thread has a third of a processor at most
_LOOK_SECONDS = 600.0
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Compression:
    """
    Compresses the rotated files of a service, those of dead processes too, ``after`` seconds after they were closed.

    A file is replaced by the same with ``.gz`` or ``.zst``, of the same mode and time: written under another name, flushed to the
    disk, renamed, and only then is the plain one deleted. Where a process dies in between, the next one goes on from there.
    """

    def __init__(self, directory: Path, service: str, kind: str, after: float) -> None:
        self._directory, self._service, self._kind, self._after = directory, service, kind, after
        self.complain: Callable[[str], None] = lambda _: None
        self._renew()

    def _renew(self) -> None:
        self._thread: threading.Thread | None = None
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._descriptors: set[int] = set()

    def start(self) -> None:
        """Start the thread, if it is not there; if it is, have it look again."""
        if self._thread is not None:
            self._wake.put(True)
            return
        self._thread = threading.Thread(target=self._run, args=(self._wake,), name="trackline-compression", daemon=True)
        # At exit none can be started any more; the next process compresses.
        with suppress(RuntimeError):
            Context().run(self._thread.start)

    def stop(self) -> None:
        """Have the thread end, in the midst of a file, which stays as it is; does not wait for it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._wake.put(False)
            self._wake = SimpleQueue()

    def forget(self) -> None:
        """Close what a forked child has of its parent's files; it has no thread."""
        for descriptor in self._descriptors:
            with suppress(OSError):
                os.close(descriptor)
        self._renew()

    def run_once(self, is_stopped: Callable[[], bool] = lambda: False) -> float:
        """Compress what is due; gives the number of seconds until it is worth while to look again."""
        wait = _LOOK_SECONDS
        for path, name in self._plain_files():
            if is_stopped():
                break
            due = _closed(path) + self._after - time.time()
            if due > 0:
                wait = min(wait, due)
                continue
            try:
                self._compress(path, name, is_stopped)
            except FileNotFoundError:
                continue  # retention, or another process
            except Exception as error:  # noqa: BLE001  (OSError; and the compressors' own)
                self.complain(f"cannot compress {path}: {error}; it stays as it is, and is tried again")
        return max(wait, 0.1)

    def _run(self, wake: SimpleQueue[bool]) -> None:
        is_on = is_new = True

        def is_stopped() -> bool:
            nonlocal is_on, is_new
            with suppress(Empty):
                while is_on:
                    is_on = wake.get_nowait()
                    is_new = True
            return not is_on

        while is_on:
            is_new = False
            try:
                wait = self.run_once(is_stopped)
            except OSError:  # the directory is gone, or not ours any more: the writer says so
                wait = _LOOK_SECONDS
            if is_on and not is_new:
                with suppress(Empty):
                    is_on = wake.get(timeout=wait)

    def _plain_files(self) -> list[tuple[Path, LogName]]:
        """Give the rotated files that are not compressed; and delete what is left of those that nobody will be at again."""
        names = os.listdir(self._directory)  # noqa: PTH208  (names are enough)
        found = []
        for text in sorted(names):
            name = read_name(_original(text) or text, self._service)
            # `app-2.log.…` may be of a service called `app-2`, which does as it was told.
            if name is None or not name.period or service_of(self._directory / name.live) not in ("", self._service):
                continue
            if _original(text):
                if str(name) not in names:
                    (self._directory / text).unlink(missing_ok=True)
            elif not name.compression:
                found.append((self._directory / text, name))
        return found

    def _compress(self, path: Path, name: LogName, is_stopped: Callable[[], bool]) -> None:
        target = path.with_name(str(name._replace(compression=SUFFIXES[self._kind])))
        draft = path.with_name(_draft(str(name)))
        with self._locked(path) as source:
            if source is None:
                return
            if not _is_complete(path):
                with self._made(draft) as output:
                    is_whole = self._copy(source, output, is_stopped)
                    if is_whole:
                        _take_over(source, output)
                if not is_whole or not path.exists():  # told to stop, or deleted by retention meanwhile
                    draft.unlink(missing_ok=True)
                    return
                draft.rename(target)
                _flush_directory(self._directory)
            path.unlink()

    @contextmanager
    def _locked(self, path: Path) -> Iterator[int | None]:
        """Give the descriptor of a file that nobody else compresses, or None."""
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
        self._descriptors.add(descriptor)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                yield None
                return
            try:
                if fcntl is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield None
                return
            yield descriptor
        finally:
            self._close(descriptor)

    @contextmanager
    def _made(self, draft: Path) -> Iterator[int]:
        draft.unlink(missing_ok=True)  # of a process that was killed: the lock says that nobody else is at it
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        self._descriptors.add(descriptor)
        try:
            yield descriptor
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        finally:
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        if descriptor in self._descriptors:  # a forked child has closed its own
            self._descriptors.discard(descriptor)
            os.close(descriptor)

    def _copy(self, source: int, output: int, is_stopped: Callable[[], bool]) -> bool:
        compressor = _compressor(self._kind)
        while chunk := os.read(source, _CHUNK):
            started = time.monotonic()
            _write(output, compressor.compress(chunk))
            if is_stopped():
                return False
            # Not a lower priority of the thread: it would be low also while it holds the interpreter's lock, for which others wait.
            time.sleep((time.monotonic() - started) * _REST)
        _write(output, compressor.flush())
        return True


def _draft(name: str) -> str:
    """Give the name under which a file is compressed: hidden and with no `.log`, for neither a shipper nor `trackline find` to read."""
    return f".{name.replace('.log.', '~', 1)}.draft"


def _original(draft: str) -> str:
    """Give the name of the file that one by such a name was made of; empty where it is none."""
    if not (draft.startswith(".") and draft.endswith(".draft")):
        return ""
    return draft[1:].removesuffix(".draft").replace("~", ".log.", 1)


def _compressor(kind: str) -> _Compressor:
    if kind == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    try:
        from compression.zstd import ZstdCompressor  # type: ignore[import-not-found]  # CPython 3.14
    except ImportError:
        from zstandard import ZstdCompressor as Compressor

        made: _Compressor = Compressor(level=3, write_checksum=True).compressobj()
        return made
    compressor: _Compressor = ZstdCompressor(level=3)
    return compressor


def _closed(path: Path) -> float:
    """Say when a file was renamed, or written to, last."""
    try:
        status = path.lstat()
    except OSError:
        return float("inf")
    return max(status.st_mtime, status.st_ctime)


def _is_complete(path: Path) -> bool:
    """Say whether there is a compressed file of the same name: it has that name only when it is complete."""
    return any(path.with_name(f"{path.name}.{suffix}").exists() for suffix in SUFFIXES.values())


def _take_over(source: int, output: int) -> None:
    """Give the new file the mode, owner and time of the old one, and have it on the disk."""
    status = os.fstat(source)
    with suppress(OSError):
        os.fchown(output, status.st_uid, status.st_gid)
    with suppress(OSError):
        os.fchmod(output, stat.S_IMODE(status.st_mode))
    os.utime(output, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.fsync(output)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
