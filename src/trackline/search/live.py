"""Read log files to ledgers while they are written: what is added is read too, until each process's numbers are whole."""

from __future__ import annotations

import os
import stat
import time
from collections import defaultdict
from contextlib import suppress
from io import BufferedReader
from typing import TYPE_CHECKING, Self

from trackline.search.account import account
from trackline.search.compressed import unreadable
from trackline.search.ledger import FileLedger
from trackline.search.scan import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from trackline.search.compressed import Reader
    from trackline.search.files import LogFiles

_HELD = 200  # files: what is older than so many that were written last is written no more
_MAY_GROW_SECONDS = 60.0
_GROWS_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0


class LiveFiles:
    """
    The ledgers of all files. Those that may still be written to are held open, so that a rename does no harm; close it afterwards.

    A process's lines are in order but for a few: a line that opens a file is numbered when it is written, and others wait by then.
    """

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self.ledgers: list[FileLedger] = []
        self._held: list[tuple[int, FileLedger]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for descriptor, _ in self._held:
            os.close(descriptor)

    def read(self) -> dict[str, int | None]:
        """
        Read all there is, and finish the ledgers; give for each process the number up to which its lines should be there by now.

        None where that is all of them. Waits where a number is missing of a process that writes, for two seconds in which none comes.
        """
        self._read_new()
        # Whoever has opened a next file that is read already writes no more to this one: what is still missing waits in a queue.
        self._read_on()
        growing = self._growing()
        writing = {nonce for ledger in growing for nonce in ledger.parts}
        by_process = grouped(self.ledgers)
        up_to = {nonce: account(nonce, found).highest if nonce in writing else None for nonce, found in by_process.items()}
        missing = self._missing(up_to)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while missing and time.monotonic() < deadline:
            time.sleep(0.05)
            self._read_on()
            self._read_new()
            if (still := self._missing(up_to)) < missing:
                missing, deadline = still, time.monotonic() + _PATIENCE_SECONDS
        growing |= self._growing()
        for ledger in self.ledgers:
            ledger.finish(is_written_to=ledger in growing)
        return up_to

    def _missing(self, up_to: dict[str, int | None]) -> int:
        """Count what is missing of processes that write, or have done so until now: files may have come and gone between two looks."""
        by_process = grouped(self.ledgers)
        return sum(account(nonce, by_process[nonce], up_to=highest).missing for nonce, highest in up_to.items() if highest is not None)

    def _read_new(self) -> None:
        for path, reader in self._files:
            ledger = FileLedger(path)
            self.ledgers.append(ledger)
            try:
                while block := reader.read1(BLOCK):
                    ledger.feed(block)
            except unreadable() as error:
                ledger.damage = error
            self._hold(reader, ledger)

    def _read_on(self) -> None:
        for descriptor, ledger in self._held:
            with suppress(OSError):
                while block := os.read(descriptor, BLOCK):
                    ledger.feed(block)

    def _hold(self, reader: Reader, ledger: FileLedger) -> None:
        if not isinstance(reader, BufferedReader) or ledger.damage is not None:
            return  # compressed: nobody writes on
        status = os.fstat(reader.fileno())
        if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime < _MAY_GROW_SECONDS and len(self._held) < _HELD:
            self._held.append((os.dup(reader.fileno()), ledger))

    def _growing(self) -> set[FileLedger]:
        now = time.time()
        return {ledger for descriptor, ledger in self._held if now - os.fstat(descriptor).st_mtime < _GROWS_SECONDS}


def grouped(ledgers: Iterable[FileLedger]) -> dict[str, list[FileLedger]]:
    """Give the ledgers that have lines of each process, by its nonce."""
    by_process = defaultdict(list)
    for ledger in ledgers:
        for nonce in ledger.parts:
            by_process[nonce].append(ledger)
    return dict(by_process)
