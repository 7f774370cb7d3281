"""A RangeSet is the same set as Python's own."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from iot_producer.ranges import RangeSet

PAIRS = st.tuples(st.integers(-30, 60), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1]))
LISTS = st.lists(PAIRS, max_size=12)


def plain(pairs: list[tuple[int, int]]) -> set[int]:
    return {number for start, stop in pairs for number in range(start, stop)}


def numbers(ranges: RangeSet) -> set[int]:
    return plain(list(ranges))


def assert_canonical(ranges: RangeSet) -> None:
    pairs = list(ranges)
    assert all(start < stop for start, stop in pairs)
    assert all(a[1] < b[0] for a, b in pairwise(pairs))
    assert ranges.count == sum(stop - start for start, stop in pairs)


@given(LISTS, LISTS)
def test_adds_and_removes_like_a_set(added: list[tuple[int, int]], gone: list[tuple[int, int]]):
    ranges = RangeSet(added)
    assert_canonical(ranges)
    assert numbers(ranges) == plain(added)
    for start, stop in gone:
        ranges.remove(start, stop)
    assert_canonical(ranges)
    assert numbers(ranges) == plain(added) - plain(gone)


@given(LISTS, LISTS)
def test_combines_like_a_set(left: list[tuple[int, int]], right: list[tuple[int, int]]):
    a, b = RangeSet(left), RangeSet(right)
    for result, wanted in (
        (a.union(b), plain(left) | plain(right)),
        (a.intersection(b), plain(left) & plain(right)),
        (a.difference(b), plain(left) - plain(right)),
    ):
        assert_canonical(result)
        assert numbers(result) == wanted
    assert numbers(a) == plain(left)
    assert numbers(b) == plain(right)


@given(LISTS, LISTS, LISTS)
def test_merges_in_any_order_and_grouping(
    x: list[tuple[int, int]], y: list[tuple[int, int]], z: list[tuple[int, int]]
):
    a, b, c = RangeSet(x), RangeSet(y), RangeSet(z)
    assert a.union(b).union(c) == a.union(b.union(c)) == c.union(a, b)


@given(LISTS, PAIRS)
def test_asks_like_a_set(pairs: list[tuple[int, int]], asked: tuple[int, int]):
    ranges, wanted = RangeSet(pairs), set(range(*asked))
    assert ranges.contains(*asked) == (wanted <= plain(pairs))
    assert ranges.overlaps(*asked) == bool(wanted & plain(pairs))
    assert (asked[0] in ranges) == (asked[0] in plain(pairs))


@given(LISTS)
def test_lists_restore_equal_sets(pairs: list[tuple[int, int]]):
    ranges = RangeSet(pairs)
    assert RangeSet.from_list(ranges.to_list()) == ranges
    assert ranges.copy() == ranges
