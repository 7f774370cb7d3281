from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from found_records import SMALL, START_NS, chunks_of, run_of
from iot_producer.blocks import Plan
from iot_producer.chunk import Chunk
from iot_producer.clock import ManualClock
from iot_producer.errors import ReportError, UnreachableError
from iot_producer.fleet import fleet_of
from iot_producer.lane import LaneSpec
from iot_producer.schedule import ConstantSchedule
from iot_producer.sinks.json_file import JsonFileSink
from iot_producer.verify import (
    VerifyProgress,
    run_verify,
    run_verify_file,
    since_ms,
    verify_chunks,
)
from iot_producer.verify_report import Counts

RATE = ConstantSchedule(Fraction(900))
RUN = run_of(RATE, n_lanes=2, n_per_lane=200)


def test_progress_is_told_now_and_then_and_at_the_end():
    clock = ManualClock(START_NS)
    told: list[VerifyProgress] = []

    def slowly() -> Iterator[Chunk]:
        for chunk in chunks_of(RUN.records, 40):
            clock.advance(100_000_000)
            yield chunk

    report = verify_chunks(RUN.report, slowly(), "memory", progress=told.append, clock=clock)
    assert [(p.n_read, p.n_expected, p.seconds) for p in told] == [
        (40, 400, 0.1),
        (160, 400, 0.4),
        (280, 400, 0.7),
        (400, 400, 1.0),
        (400, 400, 1.0),
    ]
    assert [p.per_s for p in told] == [400] * 5
    assert VerifyProgress(0, 1, 0.0).per_s == 0.0
    assert (report.source, report.seconds, report.ok) == ("memory", 1.0, True)


def test_what_ends_the_reading_ends_the_verification():
    def broken() -> Iterator[Chunk]:
        yield chunks_of(RUN.records)[0]
        raise UnreachableError("the broker is gone")

    with pytest.raises(UnreachableError, match="the broker is gone"):
        verify_chunks(RUN.report, broken(), "memory")


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
@pytest.mark.parametrize("rotate_bytes", [None, 20_000])
def test_files_of_a_run_are_verified(name: str, rotate_bytes: int | None, tmp_path: Path):
    path = str(tmp_path / name)
    for index in range(2):
        lane = LaneSpec(index, 2)
        sink = JsonFileSink(
            path, fleet_of(SMALL), lane, ManualClock(START_NS), rotate_bytes=rotate_bytes
        )
        for block in Plan(SMALL, lane, RATE, START_NS).blocks(0, 200, 20):
            sink.send(block)
        sink.close()
    report = run_verify_file(RUN.report, path)
    assert report.totals == Counts(expected=400, found=400)
    assert report.source == path
    one = sorted(tmp_path.iterdir())[0]
    one.unlink()
    report = run_verify_file(RUN.report, path)
    assert report.totals.lost >= 20
    assert {offender.lane for offender in report.offenders} == {0}


def test_reading_begins_before_the_run():
    assert since_ms(RUN.report) == START_NS // 1_000_000 - 60_000
    late = replace(RUN.report, started_at="2026-11-22T16:00:00.000Z", start_ns=2 * 10**18)
    assert since_ms(late) == 1_795_363_200_000 - 60_000
    assert since_ms(replace(RUN.report, start_ns=0)) == 0


def test_a_report_that_cannot_be_used_is_told_before_anything_is_connected():
    with pytest.raises(ReportError, match="data version 99"):
        run_verify(replace(RUN.report, data_version=99), "pulsar://127.0.0.1:1", "t")


def test_a_broker_that_is_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"nobody listens on 127.0.0.1:{port}"):
        run_verify(
            RUN.report,
            f"pulsar://127.0.0.1:{port}",
            "persistent://public/default/t",
            give_up_after_s=0,
        )
