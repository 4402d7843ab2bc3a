"""Which files are copies of others: compressed from them, or just being so. Told by their whole content, never by their names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from itertools import chain, combinations
from typing import TYPE_CHECKING

from trackline.search.compressed import decompressed, unreadable
from trackline.search.line import COMPRESSED
from trackline.search.numbers import common, merged
from trackline.search.scan import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackline.search.ledger import FileLedger


def find_copies(ledgers: Sequence[FileLedger]) -> set[FileLedger]:
    """
    Give those whose content is all of another's, or its beginning: compression, and copying before a truncation, take a while.

    Only files that have lines in common are looked into once more, and damaged ones whose name is another's with a suffix.
    """
    copies: set[FileLedger] = set()
    originals: dict[tuple[int, bytes], FileLedger] = {}
    for ledger in sorted(ledgers, key=lambda ledger: ledger.damage is not None):
        if originals.setdefault((ledger.size, ledger.digest), ledger) is not ledger:
            copies.add(ledger)
    for some, other in chain(_overlapping(originals.values()), _siblings(originals.values())):
        small, large = sorted((some, other), key=lambda ledger: ledger.size)
        if copies.isdisjoint((small, large)) and _begins_with(large, small):
            copies.add(small)
    return copies


def _overlapping(ledgers: Iterable[FileLedger]) -> Iterable[tuple[FileLedger, FileLedger]]:
    by_process = defaultdict(list)
    for ledger in ledgers:
        for nonce, part in ledger.parts.items():
            by_process[nonce].append((ledger, part.numbers.runs()))
    for found in by_process.values():
        _, again = merged(chain.from_iterable(runs for _, runs in found))
        if again:
            concerned = [(ledger, runs) for ledger, runs in found if any(common(runs, merged(again)[0]))]
            yield from ((a, b) for (a, runs), (b, others) in combinations(concerned, 2) if any(common(runs, others)))


def _siblings(ledgers: Iterable[FileLedger]) -> Iterable[tuple[FileLedger, FileLedger]]:
    by_path = {ledger.path: ledger for ledger in ledgers}
    for path, ledger in by_path.items():
        other = by_path.get(path.with_name(COMPRESSED.sub("", path.name).removeprefix(".") or path.name))
        if ledger.damage is not None and other is not None and other is not ledger:
            yield ledger, other


def _begins_with(large: FileLedger, small: FileLedger) -> bool:
    found = hashlib.sha256()
    left = small.size
    try:
        with large.path.open("rb") as file:
            reader = decompressed(file, file.peek(1024)[:1024])
            while reader is not None and left and (block := reader.read1(min(left, BLOCK))):
                found.update(block)
                left -= len(block)
    except unreadable():
        pass
    return found.digest() == small.digest
