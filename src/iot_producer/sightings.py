"""Which messages were seen how often: a byte a message, in pages, in bounded memory.

Promise: each sighting is counted, however late it comes, and memory does not grow with the run: at
most ``most_open`` pages are open. A page that is put away is forgotten when all is as expected in
it (all MUST seen once, nothing else seen), and can be made again from the expectation; any other is
kept packed. It must not know records or where they were read.

A page is an array of bytes as sighting_counts.py describes them.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.expectation import MUST, Expectation
from iot_producer.sighting_counts import COUNT_MASK, EITHER, FATE_SHIFT, mark_page

PAGE_BITS: Final = 18
MOST_OPEN: Final = 64

_ANY_FATE: Final = 0xFF
_NO_MESSAGES: Final = np.empty((0, 2), dtype=np.int64)


class Sightings:
    """Counts sightings of the messages of some lanes.

    Args:
        expectations: by slot (a lane's place in the list), what is expected of its messages.
        page_bits: a page has 2**page_bits messages.
        most_open: pages that are open at the same time, a byte a message.
    """

    def __init__(
        self,
        expectations: Sequence[Expectation],
        page_bits: int = PAGE_BITS,
        most_open: int = MOST_OPEN,
    ) -> None:
        self._expectations = expectations
        self._bits = page_bits
        self._most_open = most_open
        self._open: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._packed: dict[tuple[int, int], bytes] = {}
        self._as_expected: set[tuple[int, int]] = set()

    @property
    def n_bytes(self) -> int:
        """Memory of all pages, open and packed."""
        open_bytes = sum(len(page) for page in self._open.values())
        return open_bytes + sum(map(len, self._packed.values()))

    def mark(self, slots: NDArray[np.int64], messages: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Count sightings.

        Args:
            slots, messages: int64[k], in the order of reading.

        Returns:
            uint8[k]: fate (from bit 5 on) and number of earlier sightings (bits 0 to 4) of each.
        """
        return self.mark_some(slots, messages, _ANY_FATE, EITHER)[0]

    def mark_some(
        self, slots: NDArray[np.int64], messages: NDArray[np.int64], fates: int, seen: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Count those sightings that are of messages of some fates.

        Args:
            slots, messages: int64[k], in the order of reading.
            fates: the fates, bit by bit.
            seen: 1: only messages that were seen before; 0: only those that were not; −1: any.

        Returns:
            as `mark`, and bool[k]: which of them were counted.
        """
        pages = messages >> self._bits
        places = messages & ((1 << self._bits) - 1)
        before = np.empty(len(messages), dtype=np.uint8)
        took = np.empty(len(messages), dtype=np.bool_)
        if not len(messages):
            return before, took
        names = (slots << 44) | pages
        if names.min() == names.max():
            page = self._page(int(slots[0]), int(pages[0]))
            mark_page(page, places, before, took, fates, seen)
            return before, took
        for name in np.unique(names):
            mine = np.flatnonzero(names == name)
            part = np.empty(len(mine), dtype=np.uint8)
            part_took = np.empty(len(mine), dtype=np.bool_)
            page = self._page(int(slots[mine[0]]), int(pages[mine[0]]))
            mark_page(page, places[mine], part, part_took, fates, seen)
            before[mine], took[mine] = part, part_took
        return before, took

    def counts_of(self, slot: int, messages: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8[k]: how often each message was seen so far; from 31 on it says 31."""
        counts = np.zeros(len(messages), dtype=np.uint8)
        pages = messages >> self._bits
        for number in np.unique(pages).tolist():
            mine = pages == number
            if self._is_touched((slot, number)):
                page = self._page(slot, number)
                counts[mine] = page[messages[mine] - (number << self._bits)] & COUNT_MASK
        return counts

    def missing(
        self, slot: int, start: int = 0, stop: int | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """The messages ``start … stop − 1`` of fate MUST that were never seen.

        Args:
            slot: whose.
            start, stop: which; as they come, all of the lane.

        Yields:
            int64[k, 2]: ranges [start, stop) of message numbers, rising; the ranges of a page.
        """
        expected = self._expectations[slot]
        size = 1 << self._bits
        end = expected.n_messages if stop is None else min(stop, expected.n_messages)
        for number in range(start >> self._bits, -(-end // size)):
            name = (slot, number)
            first = number << self._bits
            if name in self._as_expected:
                continue
            if self._is_touched(name):
                unseen = np.flatnonzero(self._page(slot, number) == MUST << FATE_SHIFT)
                ranges = _ranges(unseen) + first if len(unseen) else _NO_MESSAGES
            else:
                ranges = expected.must_ranges(first, min(first + size, expected.n_messages))
            ranges = np.clip(ranges, start, end)
            ranges = ranges[ranges[:, 0] < ranges[:, 1]]
            if len(ranges):
                yield ranges

    def _is_touched(self, name: tuple[int, int]) -> bool:
        return name in self._open or name in self._packed or name in self._as_expected

    def _page(self, slot: int, number: int) -> NDArray[np.uint8]:
        """A page, opened if it is not."""
        name = (slot, number)
        page = self._open.get(name)
        if page is not None:
            self._open.move_to_end(name)
            return page
        while len(self._open) >= self._most_open:
            self._put_away(*self._open.popitem(last=False))
        packed = self._packed.pop(name, None)
        if packed is not None:
            page = np.frombuffer(bytearray(zlib.decompress(packed)), dtype=np.uint8)
        else:
            page = self._fresh(name)
            if name in self._as_expected:
                self._as_expected.remove(name)
                page += page == MUST << FATE_SHIFT
        self._open[name] = page
        return page

    def _put_away(self, name: tuple[int, int], page: NDArray[np.uint8]) -> None:
        wanted = self._fresh(name)
        wanted += wanted == MUST << FATE_SHIFT
        if np.array_equal(page, wanted):
            self._as_expected.add(name)
        else:
            self._packed[name] = zlib.compress(page.data, 1)

    def _fresh(self, name: tuple[int, int]) -> NDArray[np.uint8]:
        """A page as it is before anything was seen."""
        slot, number = name
        expected = self._expectations[slot]
        first = number << self._bits
        stop = min(first + (1 << self._bits), expected.n_messages)
        return np.left_shift(expected.fates_of(first, stop), FATE_SHIFT, dtype=np.uint8)


def _ranges(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[k, 2]: rising numbers as ranges [start, stop)."""
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    starts = numbers[np.concatenate(([0], breaks + 1))]
    stops = numbers[np.concatenate((breaks, [len(numbers) - 1]))] + 1
    return np.stack((starts, stops), axis=1)
