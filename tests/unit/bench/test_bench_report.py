from __future__ import annotations

import json

import pytest
from bench_reports import PACED, START_UPS, report, result

from iot_producer.bench.bench_report import Bar, Round, StageResult, merged


def test_a_round_is_in_cpu_seconds_per_million_records_and_records_per_wall_clock_second():
    one = Round(n_records=500_000, cpu_s=0.1, wall_s=0.25)
    assert one.cpu_s_per_million == pytest.approx(0.2)
    assert one.records_per_s == pytest.approx(2_000_000)


def test_processes_of_a_round_add_up_and_the_slowest_counts():
    rounds = merged([[(100, 0.5, 1.0), (300, 0.75, 2.0)], [(100, 0.25, 1.0), (300, 0.25, 1.5)]])
    assert rounds == (Round(400, 1.25, 2.0), Round(400, 0.5, 1.5))


def test_best_and_median_of_the_rounds():
    found = result("json", 1, 0.30, 0.20, 0.25, 0.22)
    assert found.best_cpu == pytest.approx(0.20)
    assert found.median_cpu == pytest.approx(0.235)
    # Twice the CPU time passed on the wall: 1e6 / (2 · c) records a second.
    assert found.median_per_s == pytest.approx((1e6 / 0.50 + 1e6 / 0.44) / 2)


def test_ratios_compare_medians_with_as_many_workers():
    one = report(
        result("python", 1, 20.0, 22.0, 21.0),
        result("python", 2, 30.0),
        result("json", 1, 0.2, 0.21, 0.3),
        result("json", 2, 0.25),
        result("json", 4, 0.4),
    )
    ratios = [one.ratio(r) for r in one.stages]
    assert ratios[:4] == pytest.approx([1.0, 1.0, 100.0, 120.0])
    assert ratios[4] is None


def test_bars_are_those_of_what_was_measured():
    assert report().bars() == ()
    assert report(result("json", 2, 0.1)).bars() == ()
    text_only = report(result("json", 1, 0.25)).bars()
    assert [(b.name, b.is_met) for b in text_only] == [("values + JSON text", True)]
    every = report(
        result("python", 1, 20.0),
        result("json", 1, 0.3),
        result("official", 1, 16.0),
        start_up=START_UPS,
    ).bars()
    assert [(b.value, b.limit, b.is_met) for b in every] == [
        (pytest.approx(0.3), 0.25, False),
        (pytest.approx(20 / 0.3), 200.0, False),
        (pytest.approx(16.0), 15.0, False),
        (0.19, 0.5, True),
        (2.6, 2.5, False),
    ]


@pytest.mark.parametrize(
    ("value", "at_least", "is_met"),
    [(199.9, True, False), (200.0, True, True), (200.0, False, True), (200.1, False, False)],
)
def test_a_bar_itself_is_met(value: float, at_least: bool, is_met: bool):
    assert Bar("x", value, 200.0, at_least, "s").is_met is is_met


def test_json_holds_the_rounds_and_what_follows_from_them():
    one = report(
        result("python", 1, 20.0),
        result("json", 1, 0.2, 0.123456, 0.25),
        start_up=START_UPS,
        left_out=(("native", "no psutil"),),
    )
    document = json.loads(one.to_json())
    assert document["commit"] == "63db83d0ab57"
    assert document["settings"]["fleet"] == {
        "devices": 100_000,
        "customers": 10_000,
        "sites": 1_000,
        "seed": 1,
    }
    assert document["stages"][1] == {
        "stage": "json",
        "title": "values + JSON text",
        "workers": 1,
        "n_records_per_round": 10_000,
        "cpu_s_per_million_best": 0.1235,
        "cpu_s_per_million_median": 0.2,
        "cpu_s_per_million": [0.2, 0.1235, 0.25],
        "records_per_s_median": 2_500_000,
        "peak_rss_bytes": 200_000_000,
        "wire_bytes_per_message": None,
        "times_less_than_reference": 100.0,
    }
    assert document["start_up"][2] == {
        "name": "first record, cold",
        "seconds": [],
        "cpu_seconds": [],
        "bar_s": 15.0,
        "error": "exit code 1: no such thing",
    }
    assert document["bars"][1]["value"] == 100.0
    assert document["left_out"] == [{"stage": "native", "reason": "no psutil"}]


def test_a_failure_is_not_ok_and_a_missed_bar_is():
    slow = StageResult("json", 1, (Round(1000, 1.0, 1.0),), 0)
    assert report(slow).ok
    assert report(left_out=(("arrow", "no pyarrow"),)).ok
    assert not report(failed=(("native", "9 of 10 were confirmed"),)).ok
    assert not report(start_up=START_UPS).ok


def test_the_native_client_is_measured_against_the_others_of_the_same_run():
    native = result("native", 1, 0.5, 0.55, 0.6, wire_bytes=220.0)
    official = result("official", 1, 11.0, wire_bytes=200.0)
    perf = result("pulsar-perf", 1, 2.2, wire_bytes=180.0)
    every = report(native, official, perf, result("native", 2, 9.0)).bars()
    assert [(b.name, b.value, b.unit, b.is_met) for b in every] == [
        ("native, generated and confirmed", pytest.approx(0.55), "CPU-s/M", True),
        ("native", pytest.approx(1e6 / 1.1), "msg/s", True),
        ("native to pulsar-perf, CPU", pytest.approx(0.25), "×", False),
        ("native to official, CPU", pytest.approx(0.05), "×", True),
        ("native to official, bytes sent", pytest.approx(1.1), "×", True),
        ("official, generated and confirmed", pytest.approx(11.0), "CPU-s/M", True),
    ]
    read_back = result("verify", 1, 1.0)
    assert report(read_back).bars() == (Bar("verify", 500_000.0, 500_000.0, True, "records/s"),)
    names = [bar.name for bar in report(native, perf).bars()]
    assert "native to pulsar-perf, CPU" in names
    assert "native to official, CPU" not in names
    assert report(native).to_dict()["stages"][0]["wire_bytes_per_message"] == 220.0


def test_runs_at_a_set_rate_are_measured_against_a_core_and_the_clock():
    one = report(paced=PACED)
    assert [(b.name, b.value, b.unit, b.is_met) for b in one.bars()] == [
        ("worker at 1,000 msg/s", pytest.approx(4.2), "% of a core", True),
        ("lag p99 at 1,000 msg/s", 3.3, "ms", True),
        ("response p99 at 100,000 msg/s", 26.0, "ms", False),
    ]
    assert one.to_dict()["paced"][1] == {
        "messages_per_s": 100_000,
        "worker_cpu_percent": 9.3,
        "worker_cpu_percents": [9.3],
        "cpu_s_per_million": 0.93,
        "lag_p99_ms": 3.2,
        "response_p99_ms": 26.0,
    }
