"""The workloads that come with the program, and TOML files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from iot_producer.config import load_run, resolve_run
from iot_producer.errors import ConfigError
from iot_producer.run_config import RunConfig
from iot_producer.schedule import MaxRate, Schedule
from iot_producer.workloads import read_toml, workload_names

S = 10**9
MINUTE = 60 * S


def workload(name: str, **flags: str) -> RunConfig:
    toml, toml_name = read_toml(name)
    config = resolve_run({"to": "null:", **flags}, {}, toml, toml_name=toml_name)
    assert config.warnings == ()
    return config


def plan(config: RunConfig) -> Schedule:
    """The schedule, which is a plan of times."""
    assert not isinstance(config.schedule, MaxRate)
    return config.schedule


def test_the_named_workloads() -> None:
    assert workload_names() == ["bursts", "daily-wave", "ramp-to-50k", "steady-1k"]


@pytest.mark.parametrize("name", workload_names())
def test_each_teaches_and_is_known_by_name_and_by_path(name: str) -> None:
    path = Path(__file__).parents[2] / "workloads" / f"{name}.toml"
    lines = path.read_text().splitlines()
    document, shown = read_toml(name)
    assert read_toml(str(path)) == (document, shown) == (document, f"{name}.toml")
    assert document["description"]
    assert sum(line.startswith("# ") for line in lines) >= 5
    assert load_run({"config": name, "to": "null:"}, False).fleet.devices == 100_000


def test_steady_1k_is_the_old_producers_default() -> None:
    one = workload("steady-1k")
    assert plan(one).peak_per_s == 1000
    assert plan(one).n_due(MINUTE - 1) == 60_000
    # Three pods, 3,000 a second: ~180,000 records a minute in the old README.
    three = workload("steady-1k", shard="1/3")
    assert plan(three).peak_per_s == 3000
    assert plan(three).n_due(MINUTE - 1) == 180_000


def test_ramp_to_50k() -> None:
    config = workload("ramp-to-50k")
    assert plan(config).rate_at(0) == 1000
    assert plan(config).peak_per_s == 50_000
    assert plan(config).rate_at(5 * MINUTE) == 25_500
    assert plan(config).n_due(10 * MINUTE - 1) == 15_300_000
    assert plan(config).n_messages == 30_300_000
    assert config.max_pending == 2 * plan(config).peak_per_s


def test_bursts() -> None:
    config = workload("bursts")
    assert plan(config).n_due(55 * S - 1) == 55_000
    assert plan(config).n_due(MINUTE - 1) == 105_000
    assert plan(config).rate_at(0) == 1000
    assert plan(config).rate_at(57 * S) == 10_000
    assert plan(config).n_messages == 1_050_000


def test_daily_wave() -> None:
    schedule = plan(workload("daily-wave"))
    hour = 60 * MINUTE
    assert schedule.rate_at(15 * hour) == 2000
    assert schedule.rate_at(3 * hour) == 500
    assert schedule.n_due(24 * hour - 1) == 108_000_000
    assert schedule.n_messages is None


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        ("burst", None, "there is no workload 'burst'", "did you mean bursts?"),
        ("gone.toml", None, "cannot read the TOML file", "steady-1k"),
        ("bad.toml", b"seed = = 1", "is not TOML: ", "at line 1"),
        ("latin.toml", b"description = '\xe9'", "is not TOML: ", ""),
        ("dir.toml", b"", "cannot read the TOML file", ""),
    ],
)
def test_mistakes(
    tmp_path: Path, name: str, content: bytes | None, message: str, hint: str
) -> None:
    path = tmp_path / name
    if name == "dir.toml":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_toml(str(path) if path.suffix else name)
    assert message in caught.value.message
    assert hint in caught.value.message + caught.value.hint


def test_a_file_without_an_ending_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("[fleet]\nseed = 2\n")
    assert read_toml("mine") == ({"fleet": {"seed": 2}}, "mine")
