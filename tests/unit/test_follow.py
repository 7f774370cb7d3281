from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from iot_producer.chunk import Chunk
from iot_producer.clock import ManualClock
from iot_producer.follow import FollowSnapshot, follow, intended_times_ns

BEGAN_NS = 1_780_000_000_000_000_000
MS = 1_000_000
S = 1_000_000_000


def chunk(
    intended_ns: list[int], received_ns: list[int] | None = None, *, with_ids: bool = True
) -> Chunk:
    n = len(intended_ns)
    times = np.array(intended_ns, dtype=np.int64)
    zeros = np.zeros(n, dtype=np.int64)
    return Chunk(
        np.zeros(0, dtype=np.uint8),
        zeros,
        zeros,
        times // MS,
        sequence_ids=times if with_ids else None,
        received_ns=None if received_ns is None else np.array(received_ns, dtype=np.int64),
    )


def never(silent_ns: int | None) -> bool:
    return False


class Tape:
    """Chunks that come at their times (ns after the beginning), by a clock that stands still."""

    def __init__(self, *comes: tuple[int, Chunk | None]) -> None:
        self.clock = ManualClock(BEGAN_NS)
        self._comes = comes

    def __iter__(self) -> Iterator[Chunk | None]:
        for at_ns, what in self._comes:
            self.clock.sleep_until(BEGAN_NS + at_ns)
            yield what


def run(*comes: tuple[int, Chunk | None]) -> tuple[FollowSnapshot, list[FollowSnapshot]]:
    tape = Tape(*comes)
    news: list[FollowSnapshot] = []
    return follow(tape, tape.clock, news=news.append, is_over=never), news


def test_latency_is_from_the_intended_time_to_the_arrival() -> None:
    due = [BEGAN_NS + 10 * MS, BEGAN_NS + 11 * MS, BEGAN_NS + 12 * MS + 500_000]
    came = [BEGAN_NS + 14 * MS, BEGAN_NS + 14 * MS, BEGAN_NS + 15 * MS]
    found, _ = run((20 * MS, chunk(due, came)))
    assert (found.n_read, found.n_early, found.n_ahead) == (3, 0, 0)
    assert found.latency.n == 3
    assert (found.latency.min_ns, found.latency.max_ns) == (2_500_000, 4 * MS)
    assert found.latency.sum_ns == 2_500_000 + 3 * MS + 4 * MS


def test_without_an_arrival_now_counts() -> None:
    found, _ = run((20 * MS, chunk([BEGAN_NS + 5 * MS])))
    assert found.latency.max_ns == 15 * MS


def test_what_was_due_before_does_not_count_for_the_times() -> None:
    due = [BEGAN_NS - 1, BEGAN_NS, BEGAN_NS + 1, 0]
    found, _ = run((3 * MS, chunk(due, [BEGAN_NS + MS] * 4)))
    assert (found.n_read, found.n_early) == (4, 2)
    assert found.latency.n == 2


def test_what_comes_before_it_is_due_counts_as_zero() -> None:
    found, _ = run((MS, chunk([BEGAN_NS + 5 * MS, BEGAN_NS + MS], [BEGAN_NS + MS] * 2)))
    assert found.n_ahead == 1
    assert (found.latency.n, found.latency.max_ns) == (2, 0)


def test_news_come_every_second_and_at_the_end() -> None:
    one = chunk([BEGAN_NS + MS], [BEGAN_NS + 2 * MS])
    two = chunk([BEGAN_NS + S] * 4, [BEGAN_NS + S + 7 * MS] * 4)
    found, news = run(
        (S // 2, one), (S, None), (5 * S // 2, two), (11 * S // 4, None), (3 * S, None)
    )
    assert [each.n_read for each in news] == [1, 5, 5, 5]
    assert [each.recent.n for each in news] == [1, 4, 0, 0]
    assert [each.recent_per_s for each in news] == [1.0, 4 / 1.5, 0.0, 0.0]
    assert [each.seconds for each in news] == [1.0, 2.5, 3.0, 3.0]
    assert news[-1] == found
    assert found.latency.n == 5


def test_it_ends_when_it_is_over() -> None:
    tape = Tape((0, None), (S, chunk([BEGAN_NS])), (S, None), (3 * S, None), (9 * S, None))
    asked: list[int | None] = []

    def is_over(silent_ns: int | None) -> bool:
        asked.append(silent_ns)
        return silent_ns is not None and silent_ns >= 2 * S

    found = follow(tape, tape.clock, is_over=is_over)
    assert asked == [None, 0, 2 * S]
    assert (found.n_read, found.seconds) == (1, 3.0)


def test_ctrl_c_ends_it_with_what_was_seen() -> None:
    def chunks() -> Iterator[Chunk | None]:
        yield chunk([BEGAN_NS], [BEGAN_NS + MS])
        raise KeyboardInterrupt

    found = follow(chunks(), ManualClock(BEGAN_NS), is_over=never)
    assert (found.n_read, found.latency.max_ns) == (1, MS)


def test_a_sequence_id_that_is_the_time_is_more_exact_than_the_event_time() -> None:
    due = [BEGAN_NS + 123_456, BEGAN_NS + 999_999]
    assert intended_times_ns(chunk(due)).tolist() == due
    assert intended_times_ns(chunk(due, with_ids=False)).tolist() == [BEGAN_NS, BEGAN_NS]
    numbered = chunk(due)
    assert numbered.sequence_ids is not None
    numbered.sequence_ids[:] = [0, 17]
    assert intended_times_ns(numbered).tolist() == [BEGAN_NS, BEGAN_NS]


def test_records_without_a_message_say_no_time() -> None:
    assert intended_times_ns(Chunk.of_texts([b"a", b"b"])).tolist() == [0, 0]


def test_as_json() -> None:
    found, _ = run((MS, chunk([BEGAN_NS], [BEGAN_NS + MS])))
    table = found.to_dict()
    assert {key: table[key] for key in ("n_read", "n_early", "n_ahead", "seconds")} == {
        "n_read": 1,
        "n_early": 0,
        "n_ahead": 0,
        "seconds": 0.001,
    }
    assert isinstance(table["latency"], dict)
    assert table["latency"]["max_ns"] == MS
