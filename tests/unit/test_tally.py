from __future__ import annotations

import json

import pytest

from iot_producer.errors import DataError
from iot_producer.ranges import RangeSet
from iot_producer.tally import LaneRanges, LaneTally, PartialBlock, State, TallySnapshot


def started(n: int = 100) -> LaneTally:
    tally = LaneTally()
    tally.schedule_to(n)
    return tally


def test_a_run_without_trouble():
    tally = LaneTally()
    for first in range(0, 1000, 100):
        tally.schedule_to(first + 100)
        tally.sent(first, first + 100)
        tally.confirmed(first, first + 100, None, 100)
    tally.close()
    assert tally.snapshot() == TallySnapshot(1000, 1000, 1000)
    assert tally.snapshot().complete
    assert tally.ranges() == LaneRanges(RangeSet([(0, 1000)]))


def test_each_fate_has_its_count_and_range():
    tally = started(100)
    tally.sent(0, 20)
    tally.sent(20, 40)
    tally.skip(40, 50, "too late")
    tally.sent(50, 60)
    tally.sent(70, 80)
    assert tally.next == 80
    tally.confirmed(50, 60, None, 10)
    tally.confirmed(5, 20, None, 15)
    tally.failed(20, 40, None, 20, "too large")
    during = tally.snapshot()
    assert (during.unconfirmed, during.not_sent, during.overdue) == (15, 40, 30)
    tally.close("drain time-out")
    counts = tally.snapshot()
    assert counts.to_dict() == {
        "scheduled": 100,
        "sent": 60,
        "confirmed": 25,
        "failed": 20,
        "unconfirmed": 15,
        "not_sent": 40,
        "skipped": 10,
    }
    ranges = tally.ranges()
    assert ranges.confirmed.to_list() == [[5, 20], [50, 60]]
    assert ranges.failed.to_list() == [[20, 40]]
    assert ranges.unconfirmed.to_list() == [[0, 5], [70, 80]]
    assert ranges.not_sent.to_list() == [[40, 50], [60, 70], [80, 100]]
    assert ranges.failed_reasons == {"too large": 20}
    assert ranges.not_sent_reasons == {"too late": 10, "drain time-out": 30}
    ranges.check(counts)


class TestByPartition:
    def test_a_block_is_confirmed_when_all_its_partitions_are(self):
        tally = started()
        tally.sent(0, 100, {0: 30, 2: 70, 1: 0})
        tally.confirmed(0, 100, 2, 70)
        assert tally.snapshot().confirmed == 70
        assert tally.ranges().confirmed.count == 0
        assert tally.ranges().count(State.CONFIRMED) == 70
        tally.confirmed(0, 100, 0, 10)
        tally.confirmed(0, 100, 0, 20)
        tally.close()
        assert tally.ranges() == LaneRanges(RangeSet([(0, 100)]))

    def test_a_block_half_known_is_listed_by_partition(self):
        tally = started()
        tally.sent(0, 50, {0: 20, 1: 30})
        tally.sent(50, 100, {0: 25, 1: 25})
        tally.confirmed(50, 100, 1, 5)
        tally.failed(50, 100, 1, 20, "partition closed")
        tally.close()
        ranges = tally.ranges()
        assert ranges.unconfirmed.to_list() == [[0, 50]]
        assert ranges.partial == (
            PartialBlock(50, 100, 0, 25, State.UNCONFIRMED),
            PartialBlock(50, 100, 1, 5, State.CONFIRMED),
            PartialBlock(50, 100, 1, 20, State.FAILED),
        )
        ranges.check(tally.snapshot())
        assert LaneRanges.from_dict(json.loads(json.dumps(ranges.to_dict()))) == ranges

    def test_a_block_of_two_fates_stays_partial(self):
        tally = started()
        tally.sent(0, 100, {0: 40, 1: 60})
        tally.failed(0, 100, 0, 40, "no")
        tally.confirmed(0, 100, 1, 60)
        tally.close()
        assert [part.n_records for part in tally.ranges().partial] == [40, 60]
        assert tally.snapshot() == TallySnapshot(100, 100, 60, 40)
        tally.ranges().check(tally.snapshot())

    def test_a_whole_block_may_be_confirmed_or_fail_at_once(self):
        tally = started()
        tally.sent(0, 60, {0: 20, 1: 40})
        tally.sent(60, 100, {0: 40})
        tally.failed(0, 60, None, 60, "connection lost")
        tally.confirmed(60, 100, None, 40)
        tally.close()
        assert tally.ranges().failed.to_list() == [[0, 60]]
        assert tally.ranges().confirmed.to_list() == [[60, 100]]
        assert tally.ranges().partial == ()

    @pytest.mark.parametrize("n_by_partition", [{}, {0: 99}, {0: 60, 1: 60}, {0: 110, 1: -10}])
    def test_partitions_must_add_up(self, n_by_partition: dict[int, int]):
        with pytest.raises(DataError, match="not the sum of its partitions"):
            started().sent(0, 100, n_by_partition)


class TestNeverCounts:
    """What nobody sent, or what is known already."""

    def known(self) -> LaneTally:
        tally = started(300)
        tally.sent(0, 100)
        tally.sent(100, 200, {0: 40, 1: 60})
        tally.confirmed(0, 50, None, 50)
        tally.failed(100, 200, 0, 40, "no")
        return tally

    @pytest.mark.parametrize(
        ("first", "stop", "partition", "n_records"),
        [
            (0, 50, None, 50),  # confirmed before
            (40, 60, None, 20),  # half of it confirmed before
            (100, 200, 0, 40),  # failed before
            (100, 200, None, 100),  # a part of it failed before
            (100, 200, 1, 61),  # more than were sent
            (100, 200, 1, 0),
            (100, 200, 1, -1),
            (100, 200, 2, 1),  # a partition that got none
            (100, 150, 1, 60),  # not this block
            (120, 200, 1, 60),
            (50, 100, None, 49),  # the count is not the range
            (50, 100, 0, 50),  # not sent by partition
            (200, 300, None, 100),  # never sent
            (50, 50, None, 0),
            (60, 50, None, -10),
            (-10, 0, None, 10),
        ],
    )
    def test_such_receipts(self, first: int, stop: int, partition: int | None, n_records: int):
        tally = self.known()
        before, ranges = tally.snapshot(), tally.ranges()
        with pytest.raises(DataError, match="receipt"):
            tally.confirmed(first, stop, partition, n_records)
        with pytest.raises(DataError, match="receipt"):
            tally.failed(first, stop, partition, n_records, "no")
        assert tally.snapshot() == before
        assert tally.ranges() == ranges

    @pytest.mark.parametrize(
        ("first", "stop"), [(0, 100), (150, 250), (200, 301), (250, 250), (250, 240)]
    )
    def test_such_sends_and_skips(self, first: int, stop: int):
        tally = self.known()
        with pytest.raises(DataError, match=r"cannot be sent: next is 200, 300 are scheduled"):
            tally.sent(first, stop)
        with pytest.raises(DataError, match="cannot be skipped"):
            tally.skip(first, stop, "late")
        assert tally.snapshot().sent == 200

    def test_anything_after_the_end(self):
        tally = self.known()
        tally.close("first")
        tally.close("second")
        assert tally.ranges().not_sent_reasons == {"first": 100}
        for late in (
            lambda: tally.confirmed(50, 100, None, 50),
            lambda: tally.sent(200, 300),
            lambda: tally.schedule_to(400),
        ):
            with pytest.raises(DataError, match="closed"):
                late()


def test_a_scheduled_count_never_falls():
    tally = started(100)
    tally.schedule_to(50)
    assert tally.snapshot().scheduled == 100


def test_reasons_are_bounded():
    tally = started(1000)
    for n in range(1000):
        tally.skip(n, n + 1, f"reason {n}")
    reasons = tally.ranges().not_sent_reasons
    assert len(reasons) == 51
    assert reasons["other reasons"] == 950


def test_results_do_not_change_with_the_tally():
    tally = started()
    tally.sent(0, 50)
    ranges = tally.ranges()
    tally.confirmed(0, 50, None, 50)
    assert ranges.unconfirmed.to_list() == [[0, 50]]


class TestDamaged:
    @pytest.mark.parametrize(
        "counts",
        [
            (5, 6, 0, 0, 0),
            (5, 5, 3, 3, 0),
            (5, 4, 0, 0, 2),
            (-1, -1, 0, 0, 0),
            (5.0, 5, 5, 0, 0),
            (True, 0, 0, 0, 0),
        ],
    )
    def test_counts_that_contradict_each_other_cannot_be(self, counts: tuple[int, ...]):
        with pytest.raises(ValueError, match="tally"):
            TallySnapshot(*counts)

    def test_a_broken_law_is_noticed(self):
        table = TallySnapshot(10, 8, 5, 1, 2).to_dict()
        assert TallySnapshot.from_dict(table) == TallySnapshot(10, 8, 5, 1, 2)
        for key in table:
            for changed in (7, None, "5", 5.0):
                if table[key] != changed or type(changed) is float:
                    with pytest.raises(ValueError, match="tally"):
                        TallySnapshot.from_dict({**table, key: changed})
            with pytest.raises(ValueError, match="tally"):
                TallySnapshot.from_dict({k: v for k, v in table.items() if k != key})

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"confirmed": [[0, 9]]}, "overlap, or leave"),
            ({"confirmed": [[0, 11]]}, "overlap, or leave"),
            ({"confirmed": [[0, 10], [25, 30]]}, "overlap, or leave"),
            ({"confirmed": [], "failed": [[0, 10]]}, "confirmed: the ranges hold"),
            ({"unconfirmed": [], "not_sent": [[20, 40]]}, "unconfirmed: the ranges hold"),
            ({"partial": [[10, 20, 0, 9, "confirmed"]]}, "parts of a block"),
            ({"partial": [[10, 20, 0, 10, "confirmed"]]}, "confirmed: the ranges hold 20"),
            ({"not_sent_reasons": {"late": 9}}, "reasons of not sent"),
            ({"failed_reasons": {}}, "reasons of failed"),
        ],
    )
    def test_ranges_that_do_not_add_up_are_noticed(self, changes: dict[str, object], problem: str):
        table = {
            "confirmed": [[0, 10]],
            "failed": [],
            "unconfirmed": [[20, 30]],
            "not_sent": [[30, 40]],
            "partial": [[10, 20, 0, 6, "failed"], [10, 20, 1, 4, "unconfirmed"]],
            "failed_reasons": {"no": 6},
            "not_sent_reasons": {"late": 10},
        }
        tally = TallySnapshot(40, 30, 10, 6, 10)
        LaneRanges.from_dict(table).check(tally)
        with pytest.raises(ValueError, match=problem):
            LaneRanges.from_dict({**table, **changes}).check(tally)

    @pytest.mark.parametrize(
        "changes",
        [
            {"confirmed": None},
            {"partial": None},
            {"partial": [[1, 2, 3]]},
            {"partial": [[1, 2, 3, 4, "lost"]]},
            {"partial": [[1, 2, 3, 4.0, "failed"]]},
            {"failed_reasons": []},
            {"not_sent_reasons": {"late": 0}},
        ],
    )
    def test_ranges_that_cannot_be_read(self, changes: dict[str, object]):
        with pytest.raises(ValueError, match=r"range|partial|part of a block|State|reasons"):
            LaneRanges.from_dict({**LaneRanges().to_dict(), **changes})
