from __future__ import annotations

import itertools

import pytest

from iot_producer.sink_counters import SinkCounters

A = SinkCounters(1000, 2, 30, False)
B = SinkCounters(500, 1)
C = SinkCounters(7, 0, 0, True)


def test_lanes_add_up():
    assert SinkCounters.merge([A, B]) == SinkCounters(1500, 3, 30, False)
    assert SinkCounters.merge([B, C]) == SinkCounters(507, 1, 0, True)
    assert SinkCounters.merge([]) == SinkCounters()


def test_where_lanes_differ_deduplication_is_off():
    for order in itertools.permutations([A, B, C]):
        assert SinkCounters.merge(order) == SinkCounters(1507, 3, 30, False)
    assert SinkCounters.merge([SinkCounters.merge([C, B]), A]).deduplicates is False


@pytest.mark.parametrize("counters", [A, B, C])
def test_reads_back_what_was_written(counters: SinkCounters):
    assert SinkCounters.from_dict(counters.to_dict()) == counters


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"wire_bytes": -1}, "counts from 0"),
        ({"n_reconnects": "2"}, "'n_reconnects' is missing or not of type int"),
        ({"n_maybe_duplicated": None}, "'n_maybe_duplicated' is missing"),
        ({"deduplicates": 1}, "is not yes or no: 1"),
    ],
)
def test_damage_is_refused(change: dict[str, object], problem: str):
    with pytest.raises(ValueError, match=problem):
        SinkCounters.from_dict(A.to_dict() | change)
