from __future__ import annotations

import re

import pytest

from iot_producer.metrics.catalogue import BOUNDS_S, METRICS, Metric, Type, markdown_metrics


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_rules_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"iot_producer(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.type is Type.COUNTER)
    if metric.unit:
        assert metric.name.removesuffix("_total").endswith(f"_{metric.unit}")
    assert metric.help.endswith(".")
    # A | would shift the columns of the page, and a label that grows would flood a server.
    assert "|" not in metric.help
    assert metric.labels == () or metric.name == "iot_producer_build_info"


def test_names_are_given_once() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_bounds_rise_from_half_a_millisecond_to_a_minute() -> None:
    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))
    assert (BOUNDS_S[0], BOUNDS_S[-1]) == (0.0005, 60.0)


def test_the_page_has_a_row_for_every_metric() -> None:
    page = markdown_metrics(7.0, 8.5)
    for metric in METRICS:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{metric.name}` |")]
        assert row.count("|") == 6
        assert metric.help in row
    assert "stood still for more than 7 s" in " ".join(page.split())
    assert "more than 8.5 s without any confirmation" in " ".join(page.split())
