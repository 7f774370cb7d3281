from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from fake_run import START_NS, S, snapshot, steady
from iot_producer.history import History, Outline, Readings
from iot_producer.outcome import TallySnapshot
from iot_producer.picture import Message, Picture
from iot_producer.snapshot import Snapshot

TITLE = "1,000 msg/s → pulsar://127.0.0.1:6650 iot-sensor-data"
NEWS = (
    Message("info", "the topic has 3 partitions", 2 * S),
    Message("warning", "the connection is lost: reset by peer; trying again in 1 s", 20 * S, 3),
    Message("error", "37 messages refused: too large", 3601 * S),
)


def readings(snapshots: Iterable[Snapshot], **outline: int) -> Readings:
    history = History(Outline(TITLE, **outline))
    *_, last = (history.add(each) for each in snapshots)
    return last


STEADY = readings(steady(10), duration_ns=40 * S)


def plain(picture: Picture, width: int, height: int | None = None) -> list[str]:
    return [line.plain.rstrip() for line in picture.lines(width, height)]


def test_a_wide_picture() -> None:
    assert plain(Picture(TITLE, STEADY, NEWS), 79) == [
        "1,000 msg/s → pulsar://127.0.0.1:6650 iot-sensor-data",
        "",
        "Confirmed 1,000 of 1,000 msg/s      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 100 %",
        "          ▇▇▇▇▇▇▇▇▇▇",
        "Time      0:10, 0:30 left           ━━━━━━━━━────────────────────────────  25 %",
        "Lag now   1.0 ms",
        "Data      0.54 MB/s · 5.40 MB · 1 lane",
        "",
        "                     last 5 s                         whole run",
        "                 p50       p99       max           p50       p99       max",
        "Lag           1.0 ms    1.0 ms   10.0 ms        1.0 ms    1.0 ms   10.0 ms",
        "Service       3.0 ms    3.0 ms   30.0 ms        3.0 ms    3.0 ms   30.0 ms",
        "Response      4.0 ms    4.0 ms   40.0 ms        4.0 ms    4.0 ms   40.0 ms",
        "",
        "    scheduled         sent    confirmed       failed  unconfirmed     not sent",
        "       10,000       10,000       10,000            0            0            0",
        "",
        "0:02  the topic has 3 partitions",
        "0:20  the connection is lost: reset by peer; trying again in 1 s (×3)",
        "1:00:01  37 messages refused: too large",
    ]


def test_a_claimed_lane_is_told_by_its_number() -> None:
    for n_lanes, words in ((1, "lane 2"), (3, "lane 2 of 3 workers")):
        claimed = readings([replace(each, lane=2, n_lanes=n_lanes) for each in steady(10)])
        lines = plain(Picture(TITLE, claimed), 79)
        assert f"Data      0.54 MB/s · 5.40 MB · {words}" in lines


def test_a_narrow_picture() -> None:
    assert plain(Picture(TITLE, STEADY, NEWS[1:2]), 39) == [
        "1,000 msg/s → pulsar://127.0.0.1:6650",
        "iot-sensor-data",
        "",
        "Confirmed 1,000 of 1,000 msg/s    100 %",
        "          ▇▇▇▇",
        "Time      0:10, 0:30 left          25 %",
        "Lag now   1.0 ms",
        "Data      0.54 MB/s · 5.40 MB · 1 lane",
        "",
        "last 5 s        p50      p99      max",
        "Lag          1.0 ms   1.0 ms  10.0 ms",
        "Service      3.0 ms   3.0 ms  30.0 ms",
        "Response     4.0 ms   4.0 ms  40.0 ms",
        "",
        "whole run       p50      p99      max",
        "Lag          1.0 ms   1.0 ms  10.0 ms",
        "Service      3.0 ms   3.0 ms  30.0 ms",
        "Response     4.0 ms   4.0 ms  40.0 ms",
        "",
        "    scheduled         sent    confirmed",
        "       10,000       10,000       10,000",
        "       failed  unconfirmed     not sent",
        "            0            0            0",
        "",
        "0:20  the connection is lost: reset by",
        "      peer; trying again in 1 s (×3)",
    ]


@pytest.mark.parametrize("width", [1, 10, 20, 39, 40, 71, 72, 80, 120, 300])
@pytest.mark.parametrize("height", [1, 2, 5, 12, 23, 60])
def test_it_never_leaves_its_room(width: int, height: int) -> None:
    lines = Picture(TITLE, STEADY, NEWS).lines(width, height)
    assert 1 <= len(lines) <= height
    assert max(cell_len(line.plain) for line in lines) <= min(width, 100)


def test_in_a_low_window_the_tally_stays() -> None:
    assert plain(Picture(TITLE, STEADY, NEWS), 79, 5) == [
        "1,000 msg/s → pulsar://127.0.0.1:6650 iot-sensor-data",
        "Confirmed 1,000 of 1,000 msg/s      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 100 %",
        "    scheduled         sent    confirmed       failed  unconfirmed     not sent",
        "       10,000       10,000       10,000            0            0            0",
        "1:00:01  37 messages refused: too large",
    ]


def styles_of(picture: Picture, text: str) -> set[str]:
    """The styles that a text has in the picture."""
    found = set()
    for line in picture.lines(79):
        at = line.plain.find(text)
        if at >= 0:
            found |= {str(span.style) for span in line.spans if span.start <= at < span.end}
    return found


def test_colours_say_what_is_wrong() -> None:
    tally = TallySnapshot(2000, 1700, 900, 333, 0)
    slow = readings([snapshot(0, 0), snapshot(1, 900, tally=tally, lag_now_ns=2 * S)])
    picture = Picture(TITLE, slow, NEWS)
    assert styles_of(picture, "  900 of") == {"bold yellow"}
    assert styles_of(picture, "333") == {"red"}
    assert styles_of(picture, "300") == {"yellow"}
    assert styles_of(picture, "2.0 s") == {"red"}
    assert styles_of(picture, "the connection") == {"yellow"}
    assert styles_of(Picture(TITLE, STEADY), "1,000 of") == {"bold green"}
    stalled = readings([snapshot(0, 0), snapshot(1, 100)])
    assert styles_of(Picture(TITLE, stalled), "  100 of") == {"bold red"}


def test_before_the_first_second_there_is_no_rate() -> None:
    first = readings([snapshot(0, 0)])
    lines = plain(Picture(TITLE, first), 79)
    assert lines[2] == "Confirmed –"
    assert "Response           –         –         –             –         –         –" in lines


def test_without_snapshot_there_is_the_title() -> None:
    assert plain(Picture(TITLE), 79) == [TITLE]


def test_at_full_speed_there_is_no_target() -> None:
    fast = readings(snapshot(k, k * 1_234_567, 0.0) for k in range(3))
    assert "Confirmed 1,234,567 msg/s, as fast as it goes" in plain(Picture(TITLE, fast), 79)


def test_catching_up_stands_out() -> None:
    counts = [0, 1000, 2000, 2000, 2000, 5000, 6000]
    line = plain(Picture(TITLE, readings(snapshot(k, n) for k, n in enumerate(counts))), 79)[3]
    assert line == "          ▅▅··█▅"


def test_a_start_to_come() -> None:
    waiting = readings([snapshot(0, 0)], start_ns=START_NS + 12 * S)
    assert "Time      starts in 0:12" in plain(Picture(TITLE, waiting), 79)


def test_huge_counts_stay_in_their_columns() -> None:
    n = 123_456_789_012_345
    now = replace(STEADY, snapshot=replace(STEADY.snapshot, tally=TallySnapshot(n, n, n)))
    assert plain(Picture(TITLE, now), 39)[-3] == " 123,456,789M 123,456,789M 123,456,789M"


def test_without_unicode() -> None:
    lines = Picture("é → x", STEADY, NEWS).lines(79, ascii_only=True)
    assert all(line.plain.isascii() for line in lines)
    assert lines[0].plain == "? > x"
    assert lines[3].plain.rstrip() == "          **********"


def test_rich_draws_it() -> None:
    console = Console(file=StringIO(), width=39, record=True, _environ={"TERM": "xterm"})
    console.print(Picture(TITLE, STEADY))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines == plain(Picture(TITLE, STEADY), 39)
