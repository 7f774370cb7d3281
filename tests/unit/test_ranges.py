from __future__ import annotations

import pytest

from iot_producer.ranges import RangeSet


def test_numbers_in_order_form_one_range():
    ranges = RangeSet()
    for start in range(0, 10_000, 10):
        ranges.add(start, start + 10)
    assert ranges.to_list() == [[0, 10_000]]
    assert ranges.count == 10_000
    assert ranges.n_ranges == 1


def test_a_late_range_closes_its_gap():
    ranges = RangeSet([(0, 10), (20, 30)])
    assert ranges.n_ranges == 2
    ranges.add(10, 20)
    assert ranges.to_list() == [[0, 30]]


def test_numbers_may_exceed_64_bits():
    ranges = RangeSet([(2**70, 2**70 + 5)])
    ranges.add(2**70 + 5, 2**70 + 6)
    assert ranges.to_list() == [[2**70, 2**70 + 6]]
    assert 2**70 + 5 in ranges


def test_a_copy_does_not_share_its_numbers():
    ranges = RangeSet([(0, 5)])
    copy = ranges.copy()
    copy.add(5, 9)
    assert ranges.count == 5
    assert copy.count == 9


def test_a_range_cannot_end_before_it_starts():
    with pytest.raises(ValueError, match=r"\[5, 4\)"):
        RangeSet().add(5, 4)


@pytest.mark.parametrize(
    "damaged",
    [
        {"0": 1},
        [[0, 1, 2]],
        [[0, 1.5]],
        [[True, 2]],
        [[3, 3]],
        [[5, 4]],
        [[0, 5], [5, 9]],
        [[5, 9], [0, 2]],
        ["ab"],
    ],
)
def test_a_damaged_list_is_refused(damaged: object):
    with pytest.raises(ValueError, match="range"):
        RangeSet.from_list(damaged)


def test_shows_its_first_ranges():
    assert repr(RangeSet([(0, 2), (4, 5)])) == "RangeSet([0, 2), [4, 5))"
    assert repr(RangeSet((n, n + 1) for n in range(0, 40, 2))).endswith(", …)")
