from __future__ import annotations

import pytest

from iot_producer import figures

US, MS, S = 1000, 10**6, 10**9


@pytest.mark.parametrize(
    ("n", "room", "text"),
    [
        (0, 0, "0"),
        (1234567, 0, "1,234,567"),
        (12_345_678_901, 0, "12,345,678,901"),
        (1_234_567, 9, "1,234,567"),
        (12_345_678_901, 9, "12,346M"),
        (12_345_678_901_234, 9, "12,346G"),
        (12_345_678_901_234, 8, "12,346G"),
    ],
)
def test_counts(n: int, room: int, text: str) -> None:
    assert figures.count(n, room) == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [
        (0, "0"),
        (1000.0, "1,000"),
        (999.6, "1,000"),
        (1234567.8, "1,234,568"),
        (99.97, "100"),
        (12.5, "12.5"),
        (12.04, "12"),
        (1 / 3, "0.33"),
        (0.5, "0.5"),
        (2.0, "2"),
        (0.0012, "0.0012"),
    ],
)
def test_rates(per_s: float, text: str) -> None:
    assert figures.rate(per_s) == text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 µs"),
        (499, "0 µs"),
        (850 * US, "850 µs"),
        (999_499, "999 µs"),
        (999_500, "1.0 ms"),
        (1_249_999, "1.2 ms"),
        (99_949_999, "99.9 ms"),
        (99_950_000, "100 ms"),
        (999 * MS, "999 ms"),
        (999_500_000, "1.0 s"),
        (4_500 * MS, "4.5 s"),
        (59_949 * MS, "59.9 s"),
        (59_950 * MS, "1m 00s"),
        (125 * S, "2m 05s"),
        (4260 * S, "1h 11m"),
    ],
)
def test_latencies_carry_over_to_the_next_unit(ns: int, text: str) -> None:
    assert figures.latency(ns) == text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (-1, "0:00"),
        (42 * S + 999 * MS, "0:42"),
        (725 * S, "12:05"),
        (3723 * S, "1:02:03"),
        (4 * 86_400 * S + 5 * S, "4d 0:00:05"),
    ],
)
def test_a_clock(ns: int, text: str) -> None:
    assert figures.clock(ns) == text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (2 * MS, "2 ms"),
        (250 * MS, "250 ms"),
        (1500 * MS, "1.5 s"),
        (20 * S, "20 s"),
        (90 * S, "1 min 30 s"),
        (3600 * S, "1 h"),
        (2 * 86_400 * S + 3 * 3600 * S, "2 d 3 h"),
    ],
)
def test_durations(ns: int, text: str) -> None:
    assert figures.duration(ns) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 bytes"),
        (540, "540 bytes"),
        (54_000, "54.0 kB"),
        (540_000, "0.54 MB"),
        (10_800_000, "10.8 MB"),
        (999_400_000, "999 MB"),
        (1_234_000_000, "1.23 GB"),
        (5.4e15, "5.40 PB"),
    ],
)
def test_sizes(n_bytes: float, text: str) -> None:
    assert figures.size(n_bytes) == text


def test_volume_is_always_in_megabytes_a_second() -> None:
    assert figures.megabytes_per_s(540_000) == "0.54 MB/s"
    assert figures.megabytes_per_s(5400) == "0.01 MB/s"
    assert figures.megabytes_per_s(2.6e9) == "2,600 MB/s"


def test_what_is_not_all_is_not_called_100_percent() -> None:
    assert figures.percent(1) == "100 %"
    assert figures.percent(0.99999) == "99.9 %"
    assert figures.percent(0.5) == "50 %"
    assert figures.percent(0.0314) == "3.1 %"
    assert figures.percent(1.25) == "125 %"


def test_nouns() -> None:
    assert figures.plural(1, "lane") == "1 lane"
    assert figures.plural(2000, "lane") == "2,000 lanes"
    assert figures.plural(0, "entry", "entries") == "0 entries"


def test_a_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    assert figures.one_line("a\r\n b\tc\x1b[2J \x9b1m é") == "a b c [2J 1m é"
