from __future__ import annotations

import numpy as np

from iot_producer.expectation import MAY, MUST, MUST_NOT, OPEN, Expectation
from iot_producer.sighting_counts import COUNT_MASK, EITHER, FATE_SHIFT
from iot_producer.sightings import Sightings


def expectation(n: int, *stretches: tuple[int, int]) -> Expectation:
    starts, fates = zip(*(stretches or ((0, MUST),)), strict=True)
    return Expectation(np.array(starts, np.int64), np.array(fates, np.uint8), n)


def mark(sightings: Sightings, slot: int, *messages: int) -> list[tuple[int, int]]:
    """Fate and earlier sightings of each."""
    slots = np.full(len(messages), slot, dtype=np.int64)
    before = sightings.mark(slots, np.array(messages, dtype=np.int64))
    return [(int(b) >> FATE_SHIFT, int(b) & COUNT_MASK) for b in before]


def missing(sightings: Sightings, slot: int = 0) -> list[list[int]]:
    return [pair for ranges in sightings.missing(slot) for pair in ranges.tolist()]


def test_counts_sightings_also_within_one_call():
    sightings = Sightings([expectation(10, (0, MUST), (4, MAY), (6, MUST_NOT))])
    assert mark(sightings, 0, 1, 1, 5, 1, 9) == [(0, 0), (0, 1), (1, 0), (0, 2), (2, 0)]
    assert mark(sightings, 0, 1, 5) == [(0, 3), (1, 1)]
    assert missing(sightings) == [[0, 1], [2, 4]]
    assert sightings.counts_of(0, np.arange(10)).tolist() == [0, 4, 0, 0, 0, 2, 0, 0, 0, 1]


def test_lanes_do_not_touch_each_other():
    sightings = Sightings([expectation(100), expectation(100)], page_bits=4)
    slots = np.array([0, 1, 0, 1], dtype=np.int64)
    sightings.mark(slots, np.array([5, 5, 40, 99], dtype=np.int64))
    assert missing(sightings, 0)[:2] == [[0, 5], [6, 16]]
    assert sightings.counts_of(0, np.array([5, 40, 99])).tolist() == [1, 1, 0]
    assert sightings.counts_of(1, np.array([5, 40, 99])).tolist() == [1, 0, 1]


def test_what_was_never_touched_is_missing():
    sightings = Sightings([expectation(50, (0, MUST), (20, MAY), (30, MUST))], page_bits=4)
    assert missing(sightings) == [[0, 16], [16, 20], [30, 32], [32, 48], [48, 50]]
    assert sightings.n_bytes == 0


def test_memory_is_bounded_and_complete_pages_are_forgotten():
    n, size = 1 << 16, 1 << 10
    sightings = Sightings([expectation(n)], page_bits=10, most_open=4)
    most = 0
    for first in range(0, n, 512):
        mark(sightings, 0, *range(first, first + 512))
        most = max(most, sightings.n_bytes)
    assert most == 4 * size
    assert missing(sightings) == []
    # A duplicate of a page that is long forgotten is known as such.
    assert mark(sightings, 0, 3, 3) == [(0, 1), (0, 2)]
    assert sightings.counts_of(0, np.array([2, 3, 4])).tolist() == [1, 3, 1]
    assert missing(sightings) == []


def test_pages_with_a_difference_are_kept_packed():
    n = 1 << 16
    sightings = Sightings([expectation(n)], page_bits=10, most_open=4)
    for first in range(0, n, 1024):
        mark(sightings, 0, *(m for m in range(first, first + 1024) if m % 1024 != 77))
    assert missing(sightings) == [[m, m + 1] for m in range(77, n, 1024)]
    assert sightings.n_bytes < n // 8
    for m in range(77, n, 1024):
        assert mark(sightings, 0, m) == [(0, 0)]
    assert missing(sightings) == []


def test_a_sighting_of_what_must_not_be_there_survives_being_put_away():
    sightings = Sightings([expectation(64, (0, MUST_NOT))], page_bits=4, most_open=1)
    assert mark(sightings, 0, 3) == [(2, 0)]
    assert mark(sightings, 0, 20, 40) == [(2, 0), (2, 0)]
    assert mark(sightings, 0, 3) == [(2, 1)]


def test_counts_stop_at_their_end_without_changing_the_fate():
    sightings = Sightings([expectation(4, (0, MAY))])
    mark(sightings, 0, *[2] * 100)
    assert mark(sightings, 0, 2) == [(MAY, COUNT_MASK)]


def test_only_messages_that_are_meant_are_counted():
    fates = ((0, MUST), (2, MAY), (4, MUST_NOT), (6, OPEN))
    sightings = Sightings([expectation(8, *fates)], page_bits=2)
    slots = np.zeros(8, dtype=np.int64)
    everything = np.arange(8, dtype=np.int64)

    def took(fates: int, seen: int) -> list[int]:
        return np.flatnonzero(sightings.mark_some(slots, everything, fates, seen)[1]).tolist()

    assert took(1 << MUST | 1 << OPEN, 1) == []
    assert took(1 << MUST | 1 << OPEN, 0) == [0, 1, 6, 7]
    assert took(1 << MUST | 1 << MAY, 0) == [2, 3]
    assert took(1 << MUST | 1 << MAY, 1) == [0, 1, 2, 3]
    assert took(1 << MUST_NOT, EITHER) == [4, 5]
    assert sightings.counts_of(0, everything).tolist() == [2, 2, 2, 2, 1, 1, 1, 1]
    # In one call the second sighting of a message is no first one.
    twice = np.array([5, 5], dtype=np.int64)
    before, counted = Sightings([expectation(8)]).mark_some(slots[:2], twice, 1 << MUST, 0)
    assert (before.tolist(), counted.tolist()) == ([0, 1], [True, False])


def test_a_part_of_the_messages_is_missing_what_it_misses():
    sightings = Sightings([expectation(50, (0, MUST), (20, MAY), (30, MUST))], page_bits=4)
    mark(sightings, 0, 7, 8, 40)
    found = [r for part in sightings.missing(0, 5, 41) for r in part.tolist()]
    assert found == [[5, 7], [9, 16], [16, 20], [30, 32], [32, 40]]
    assert list(sightings.missing(0, 20, 30)) == []
    assert list(sightings.missing(0, 50, 60)) == []
