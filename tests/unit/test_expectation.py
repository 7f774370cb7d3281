from __future__ import annotations

import numpy as np

from found_records import SMALL
from iot_producer.expectation import MAY, MUST, MUST_NOT, OPEN, PARTLY, expectation_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.outcome import LaneRanges, PartialBlock, State
from iot_producer.ranges import RangeSet

LANE = lane_of(SMALL.devices, LaneSpec(0, 2))
RANGES = LaneRanges(
    confirmed=RangeSet([(0, 10), (15, 20)]),
    failed=RangeSet([(10, 12)]),
    unconfirmed=RangeSet([(12, 15)]),
    not_sent=RangeSet([(20, 25)]),
)
FATES = [MUST] * 10 + [MUST_NOT] * 2 + [MAY] * 3 + [MUST] * 5 + [MUST_NOT] * 5


def odd_or_even(devices: np.ndarray) -> np.ndarray:
    return devices.astype(np.int64) // 2 % 2


def test_each_message_has_the_fate_of_its_range():
    expected = expectation_of(RANGES, 25, LANE, None)
    assert expected.fates_of(0, 25).tolist() == FATES
    for first in range(25):
        for stop in range(first + 1, 26):
            assert expected.fates_of(first, stop).tolist() == FATES[first:stop]
    assert (expected.n_must, expected.n_may) == (15, 3)
    for fate in (MUST, MAY):
        before = [FATES[:n].count(fate) for n in range(26)]
        assert expected.n_before(fate, np.arange(26)).tolist() == before
        for first in range(25):
            inside = FATES[first : first + 7].count(fate)
            assert expected.n_in(fate, first, min(first + 7, 25)) == inside
    assert expected.must_ranges(0, 25).tolist() == [[0, 10], [15, 20]]
    assert expected.must_ranges(3, 16).tolist() == [[3, 10], [15, 16]]
    assert expected.must_ranges(10, 15).tolist() == []


def test_of_nothing_nothing_is_expected():
    expected = expectation_of(LaneRanges(), 0, LANE, None)
    assert (expected.n_must, expected.n_may) == (0, 0)
    assert expected.n_before(MUST, np.array([0, 0])).tolist() == [0, 0]


def test_what_the_report_does_not_speak_of_is_open():
    expected = expectation_of(RANGES, 25, LANE, None, n_open=4)
    assert expected.fates_of(0, 29).tolist() == [*FATES, *[OPEN] * 4]
    assert (expected.n_messages, expected.n_must, expected.n_may) == (29, 15, 3)
    assert (
        expectation_of(LaneRanges(), 0, LANE, None, n_open=2).fates_of(0, 2).tolist() == [OPEN] * 2
    )


def test_what_was_not_sent_since_an_earlier_run_had_sent_it_is_open():
    ranges = LaneRanges(confirmed=RangeSet([(3, 6)]), not_sent=RangeSet([(0, 3), (6, 9)]))
    expected = expectation_of(ranges, 9, LANE, None, n_before=7)
    assert expected.fates_of(0, 9).tolist() == [OPEN] * 3 + [MUST] * 3 + [OPEN] + [MUST_NOT] * 2


def partial(*parts: tuple[int, int, State]) -> LaneRanges:
    return LaneRanges(
        confirmed=RangeSet([(0, 10)]),
        partial=tuple(PartialBlock(10, 20, p, n, state) for p, n, state in parts),
    )


def test_where_partitions_are_known_so_are_the_messages_of_a_partial_block():
    place = odd_or_even(LANE.block(10, 10)[2])
    n_even = int((place == 0).sum())
    assert 0 < n_even < 10
    ranges = partial((0, n_even, State.CONFIRMED), (1, 10 - n_even, State.FAILED))
    expected = expectation_of(ranges, 20, LANE, odd_or_even)
    wanted = [MUST if p == 0 else MUST_NOT for p in place.tolist()]
    assert expected.fates_of(10, 20).tolist() == wanted
    assert expected.parts == ()
    assert expected.n_must == 10 + n_even


def test_of_a_partition_with_two_fates_only_the_number_is_known():
    place = odd_or_even(LANE.block(10, 10)[2])
    n_odd = int((place == 1).sum())
    ranges = partial(
        (0, 10 - n_odd, State.UNCONFIRMED),
        (1, 1, State.CONFIRMED),
        (1, n_odd - 1, State.UNCONFIRMED),
    )
    expected = expectation_of(ranges, 20, LANE, odd_or_even)
    wanted = [MAY if p == 0 else PARTLY for p in place.tolist()]
    assert expected.fates_of(10, 20).tolist() == wanted
    (part,) = expected.parts
    assert part.messages.tolist() == (10 + np.flatnonzero(place == 1)).tolist()
    assert (part.n_confirmed, part.n_unconfirmed) == (1, n_odd - 1)
    assert (expected.n_must, expected.n_may) == (11, 9)
    assert [expected.n_in(MUST, *span) for span in ((0, 10), (10, 20), (20, 20))] == [10, 1, 0]


def test_without_partitions_or_with_other_ones_only_numbers_are_known():
    ranges = partial((0, 4, State.CONFIRMED), (1, 6, State.FAILED))
    for partition_of in (None, lambda devices: np.zeros(len(devices), dtype=np.int64)):
        expected = expectation_of(ranges, 20, LANE, partition_of)
        assert expected.fates_of(0, 20).tolist() == [MUST] * 10 + [PARTLY] * 10
        (part,) = expected.parts
        assert part.messages.tolist() == list(range(10, 20))
        assert (part.n_confirmed, part.n_unconfirmed) == (4, 0)
        assert (expected.n_must, expected.n_may) == (14, 0)
