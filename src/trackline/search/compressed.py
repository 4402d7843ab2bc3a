"""Read log files as they are on the disk: plain, or compressed by whichever tool rotated them."""

from __future__ import annotations

import re
import sys
import zlib
from gzip import GzipFile
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import BinaryIO

_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # RFC 8878: a frame, or a skippable one, as pzstd opens with


class Reader(Protocol):
    """What is read from: bytes that can be had at once, up to a size. Not `read`, which loses the end of what is cut short."""

    def read1(self, size: int, /) -> bytes: ...


def decompressed(file: BinaryIO, head: bytes) -> Reader | None:
    """
    Give a reader of what is in the file; None for zstd where there is nothing to read it with.

    Told by ``head``, its first bytes, and not by the name: a file may have been renamed or compressed since it was listed.
    """
    if head.startswith(b"\x1f\x8b"):
        return GzipFile(fileobj=file)
    if head.startswith(b"BZh"):
        from bz2 import BZ2File

        return BZ2File(file)
    if head.startswith(b"\xfd7zXZ\0"):
        from lzma import LZMAFile

        return LZMAFile(file)
    if _ZSTD.match(head):
        return _zstd(file)
    return file  # type: ignore[return-value]  # open(…, "rb") gives a BufferedReader, which has read1


def unreadable() -> tuple[type[Exception], ...]:
    """What reading a damaged file raises. Ask where it is caught: only what has been imported by then can be raised."""
    libraries = (("lzma", "LZMAError"), ("zstandard", "ZstdError"), ("compression.zstd", "ZstdError"))
    loaded = [getattr(sys.modules[module], name) for module, name in libraries if sys.modules.get(module)]
    return (OSError, EOFError, zlib.error, *loaded)


def _zstd(file: BinaryIO) -> Reader | None:
    try:
        from compression.zstd import ZstdFile  # type: ignore[import-not-found]  # CPython 3.14

        reader: Reader = ZstdFile(file)
        return reader
    except ImportError:
        pass
    try:
        from zstandard import ZstdDecompressor
    except ImportError:
        return None
    return ZstdDecompressor().stream_reader(file, read_across_frames=True)
