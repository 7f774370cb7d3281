from __future__ import annotations

import pytest

from iot_producer.bench import STAGES, BenchOptions, parse_stages
from iot_producer.bench.bench_options import round_topic
from iot_producer.errors import ConfigError
from iot_producer.fleet import FleetSpec


def test_stages_run_in_the_order_of_the_data_whatever_was_written():
    options = BenchOptions(stages=parse_stages(" json, Values,python ,json"))
    assert [stage.name for stage in options.chosen()] == ["python", "values", "json"]
    assert parse_stages("all") == tuple(stage.name for stage in STAGES)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("jsom", "unknown stage 'jsom'", "did you mean json?"),
        ("json,qqqq", "unknown stage 'qqqq'", "known: arrow, blocks, entry, json, "),
        (" ,", "no stage is given", "known: python, blocks, "),
    ],
)
def test_a_stage_that_is_not_known(text: str, message: str, hint: str):
    with pytest.raises(ConfigError) as caught:
        parse_stages(text)
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


def test_records_and_rounds_of_a_stage():
    for stage in STAGES:
        whole, quick, few = BenchOptions(), BenchOptions(quick=True), BenchOptions(n_records=9)
        assert whole.n_records_of(stage) == stage.n_records == 10 * quick.n_records_of(stage)
        assert few.n_records_of(stage) == 9
        assert whole.n_rounds_of(stage) == (3 if stage.needs_broker else 7)
        assert quick.n_rounds_of(stage) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": ("jsn",)}, "unknown stage 'jsn'"),
        ({"workers": (1, 0)}, "0 workers cannot be measured"),
        ({"workers": (65,)}, "65 workers cannot be measured"),
        ({"n_records": 0}, "0 records cannot be measured"),
    ],
)
def test_numbers_that_cannot_be_used(changes: dict[str, object], message: str):
    with pytest.raises(ConfigError) as caught:
        BenchOptions(**changes)  # type: ignore[arg-type]
    assert caught.value.message == message


def test_no_more_workers_than_devices():
    with pytest.raises(ConfigError, match="2 workers cannot be measured"):
        BenchOptions(workers=(2,), fleet=FleetSpec(1, 1, 1))


def test_each_round_on_a_broker_has_a_topic_of_its_own():
    assert [round_topic("persistent://public/default/bench", turn) for turn in (0, 1)] == [
        "persistent://public/default/bench-0",
        "persistent://public/default/bench-1",
    ]
