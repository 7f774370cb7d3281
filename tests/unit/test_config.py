"""From flags, variables and a TOML document to a checked RunConfig."""

from __future__ import annotations

import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from iot_producer.config import (
    RunConfig,
    check_outputs,
    load_run,
    read_environment,
    resolve_run,
)
from iot_producer.destination import Scheme
from iot_producer.errors import ConfigError, ExitCode, OutputExistsError
from iot_producer.fleet import FleetSpec
from iot_producer.pulsar.security import SecurityConfig
from iot_producer.schedule import ConstantSchedule, MaxRate

S = 10**9
RAMP = {"kind": "ramp", "from": 100, "to": 300, "over": "10s"}


def run(*arguments: str, toml: Any = None, **variables: str) -> RunConfig:
    """Resolve ``name=text`` arguments as flags and keywords as environment variables."""
    flags = dict(argument.split("=", 1) for argument in arguments)
    return resolve_run(flags, variables, toml, toml_name="x.toml")


def refused(*arguments: str, toml: Any = None, **variables: str) -> str:
    """The message and the hint of the ConfigError."""
    with pytest.raises(ConfigError) as caught:
        run(*arguments, toml=toml, **variables)
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint
    return f"{caught.value.message} / {caught.value.hint}"


def peak(config: RunConfig) -> Fraction:
    """The highest rate of a schedule that is a plan of times."""
    assert not isinstance(config.schedule, MaxRate)
    return config.schedule.peak_per_s


def constant(per_s: int | Fraction) -> ConstantSchedule:
    return ConstantSchedule(Fraction(per_s))


def test_the_defaults_are_those_of_the_product() -> None:
    config = run()
    assert str(config.destination) == (
        "pulsar://pulsar-proxy.pulsar.svc.cluster.local:6650 "
        "persistent://public/default/iot-sensor-data"
    )
    assert config.fleet == FleetSpec(devices=100_000, customers=10_000, sites=1_000, seed=1)
    assert config.schedule == constant(1000)
    assert (config.shard, config.n_shards, config.shard_is_given) == (0, 1, False)
    assert (config.workers, config.n_lanes, config.lane_index(0)) == (1, 1, 0)
    assert (config.start_ns, config.duration_ns, config.n_messages) == (None, None, None)
    assert (config.warm_up_ns, config.on_overload, config.max_lag_ns) == (0, "catch-up", S)
    assert (config.block_records, config.linger_ns) == (1000, 4_000_000)
    assert (config.client, config.compression, config.max_pending) == ("native", "lz4", 50_000)
    assert (config.on_gap, config.max_gap_ns, config.lane) == ("skip", 300 * S, None)
    assert config.security == SecurityConfig()
    assert (config.rotate_bytes, config.create_topic, config.report) == (None, None, None)
    assert config.admin_url == "http://pulsar-proxy.pulsar.svc.cluster.local:8080"
    assert (config.drain_timeout_ns, config.stats_interval_ns) == (20 * S, 10 * S)
    assert (config.dry_run, config.force, config.quiet) == (False, False, False)
    assert config.warnings == ()


def test_a_terminal_decides_patience_and_looks() -> None:
    for is_terminal, expected in (
        (True, (30 * S, "human", True)),
        (False, (None, "json", False)),
    ):
        config = resolve_run({}, {}, None, is_terminal)
        assert (config.give_up_after_ns, config.log_format, config.live) == expected
    given: dict[str, str | bool | None] = {
        "give_up_after": "never",
        "log_format": "json",
        "live": False,
    }
    config = resolve_run(given, {}, None, True)
    assert (config.give_up_after_ns, config.log_format, config.live) == (None, "json", False)
    config = resolve_run({"give_up_after": "5s", "live": True}, {})
    assert (config.give_up_after_ns, config.live) == (5 * S, True)
    assert resolve_run({"quiet": True, "live": True}, {}, None, True).live is False


def test_the_variables_of_the_old_producer() -> None:
    config = run(
        PULSAR_URL="pulsar://a:1,b",
        PULSAR_TOPIC="tenant/ns/t",
        MESSAGES_PER_SECOND="2500",
        JAVA_OPTS="-Xms512m -Xmx1024m",
    )
    assert config.destination.hosts == (("a", 1), ("b", 6650))
    assert config.destination.topic == "persistent://tenant/ns/t"
    assert config.admin_url == "http://a:8080"
    assert config.schedule == constant(2500)
    assert config.warnings == ("JAVA_OPTS is ignored: this producer runs without Java",)


def test_every_setting_can_come_from_toml() -> None:
    config = run(
        toml={
            "destination": {"to": "out.parquet"},
            "fleet": {"devices": 50, "customers": 7, "sites": 6, "seed": 5},
            "run": {
                "rate": 0.5,
                "duration": "10m",
                "warm_up": 30,
                "workers": 2,
                "shard": "1/3",
                "on_overload": "drop",
                "max_lag": "250ms",
                "drain_timeout": "5s",
                "on_gap": "catch-up",
                "max_gap": "90s",
                "give_up_after": "1m",
                "dry_run": True,
            },
            "pipeline": {"block_records": 10, "linger": "5ms", "max_pending": 100},
            "output": {"report": "r.json", "rotate": "1MB", "force": True, "stats_interval": "1s"},
        }
    )
    assert config.destination.scheme is Scheme.PARQUET
    assert config.fleet == FleetSpec(50, 7, 6, 5)
    assert (peak(config), config.schedule.n_messages) == (Fraction(3, 2), 900)
    assert (config.shard, config.n_shards, config.workers, config.n_lanes) == (1, 3, 2, 6)
    assert [config.lane_index(worker) for worker in (0, 1)] == [2, 3]
    assert (config.duration_ns, config.warm_up_ns) == (600 * S, 30 * S)
    assert (config.on_overload, config.max_lag_ns) == ("drop", S // 4)
    assert (config.drain_timeout_ns, config.give_up_after_ns) == (5 * S, 60 * S)
    assert (config.on_gap, config.max_gap_ns) == ("catch-up", 90 * S)
    assert (config.block_records, config.linger_ns, config.max_pending) == (10, 5_000_000, 100)
    assert (config.report, config.rotate_bytes) == (Path("r.json"), 1_000_000)
    assert (config.force, config.dry_run, config.stats_interval_ns) == (True, True, S)


def test_every_lane_belongs_to_one_worker_of_one_shard() -> None:
    lanes = [
        run(f"shard={shard}/3", "workers=2").lane_index(worker)
        for shard in range(3)
        for worker in range(2)
    ]
    assert sorted(lanes) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("shape", [None, RAMP])
def test_a_shard_has_its_part_of_n_times_the_rate(shape: dict[str, Any] | None) -> None:
    toml = {"schedule": shape} if shape else {"run": {"rate": 300}}
    one, three = run(toml=toml), run("shard=2/3", toml=toml)
    assert peak(one) == 300
    assert peak(three) == 900
    assert (one.shard_is_given, three.shard_is_given) == (False, True)


def test_limits_are_those_of_this_pod() -> None:
    assert run("messages=500").schedule.n_messages == 500
    assert run("messages=500", "shard=0/3").schedule.n_messages == 1500
    assert run("duration=10s", "rate=100").schedule.n_messages == 1000
    assert run("duration=10s", "rate=100", "messages=999").schedule.n_messages == 999
    assert run("rate=max", "messages=9", "duration=1s").schedule == MaxRate(9, S)
    assert run("rate=max", "messages=9", "shard=0/2").schedule == MaxRate(18)


def test_the_schedule_of_the_file_gives_way_to_a_rate_that_is_said_elsewhere() -> None:
    toml = {"schedule": RAMP}
    assert peak(run(toml=toml)) == 300
    for config in (run("rate=50", toml=toml), run(toml=toml, MESSAGES_PER_SECOND="50")):
        assert config.schedule == constant(50)
        assert len(config.warnings) == 1
        assert "replaces the [schedule] of x.toml" in config.warnings[0]
    assert "both run.rate and a [schedule]" in refused(toml={**toml, "run": {"rate": 5}})


def test_a_mistake_in_the_schedule_names_the_file() -> None:
    message = refused(toml={"schedule": {"kind": "rmap"}})
    assert message.startswith("x.toml: ")
    assert "ramp" in message


def test_unset_customers_and_sites_follow_the_devices() -> None:
    assert run(DEVICES="5", MESSAGES_PER_SECOND="10").fleet == FleetSpec(5, 5, 5, 1)
    assert run("devices=2000").fleet == FleetSpec(2000, 2000, 1000, 1)


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["customers=11", "devices=10"], {}, "--customers 11 is more than --devices 10"),
        ([], {"SITES": "11", "DEVICES": "10"}, "SITES=11 is more than DEVICES=10"),
        (["customers=100001"], {}, "is more than --devices 100000 (the default)"),
        ([], {"DEVICES": "0"}, "DEVICES is too small: 0"),
        ([], {"MESSAGES_PER_SECOND": "0"}, "MESSAGES_PER_SECOND must be above 0"),
        ([], {"MESSAGES_PER_SECOND": "-1"}, "MESSAGES_PER_SECOND must not be negative"),
        ([], {"MESSAGES_PER_SECOND": "abc"}, "MESSAGES_PER_SECOND is not a rate"),
        ([], {"MESSAGES_PER_SECOND": "1000000000000"}, "MESSAGES_PER_SECOND is above"),
        (["rate=5001", "devices=5"], {}, "1000.2 of each"),
        (["rate=5001", "devices=5"], {}, "raise DEVICES to 6"),
        (["rate=5000", "devices=5", "shard=0/2"], {}, "2000 of each"),
        (["shard=0/3", "workers=4", "devices=11", "rate=1"], {}, "more than the 11 devices"),
        (["shard=3/3"], {}, "--shard does not exist"),
        ([], {"SHARD": "three"}, "SHARD is not a shard"),
        (["duration=0"], {}, "--duration 0 is no time at all"),
        (["max_lag=0s"], {}, "--max-lag 0s is no time at all"),
        (["stats_interval=0"], {}, "--stats-interval 0 is no time at all"),
        (["messages=0"], {}, "--messages is too small: 0"),
        (["warm_up=10s", "duration=10s"], {}, "is not shorter than --duration 10s"),
        (["max_pending=10", "block_records=11"], {}, "--max-pending 10 is less than"),
        (["to=chdb:///d", "workers=2"], {}, "only one process can open chdb:///d"),
        (["to=-", "workers=2"], {}, "mix on standard output"),
        (["to=null:", "pulsar_url=pulsar://h"], {}, "both name a destination"),
        (["pulsar_url=null:"], {}, "--pulsar-url is not a Pulsar URL"),
        ([], {"PULSAR_URL": "broker:6650"}, "PULSAR_URL: 'broker:6650'"),
        ([], {"PULSAR_URL": "pulsar+ssl://u@h:6651"}, "takes no user and password"),
        (["to=out.json"], {}, "--to: 'out.json' is not a destination"),
        ([], {"PULSAR_TOPIC": "a b"}, "PULSAR_TOPIC: topic 'a b'"),
    ],
)
def test_bad_input(arguments: list[str], variables: dict[str, str], message: str) -> None:
    assert message in refused(*arguments, **variables)


def test_a_thousand_records_a_second_of_a_device_is_the_limit() -> None:
    assert run("rate=5000", "devices=5").schedule == constant(5000)
    assert run("rate=max", "devices=5").schedule == MaxRate()


def test_a_small_window_of_pending_messages_makes_small_blocks() -> None:
    assert run("max_pending=10").block_records == 10


def test_the_higher_level_names_the_destination() -> None:
    environ = {"PULSAR_URL": "pulsar://env"}
    assert run("to=null:", **environ).destination.scheme is Scheme.NULL
    assert run(IOT_PRODUCER_TO="null:", **environ).destination.scheme is Scheme.NULL
    config = run("pulsar_url=pulsar://flag", IOT_PRODUCER_TO="null:")
    assert config.destination.hosts == (("flag", 6650),)
    assert config.warnings == ("IOT_PRODUCER_TO is ignored: --pulsar-url goes before it",)
    config = run("to=pulsar://h", "topic=t")
    assert str(config.destination) == "pulsar://h:6650 persistent://public/default/t"


def test_settings_of_another_destination_are_ignored_with_a_warning() -> None:
    config = run("to=null:", "create_topic=4", "rotate_bytes=1MB")
    assert (config.create_topic, config.rotate_bytes, config.admin_url) == (None, None, "")
    assert config.warnings == (
        "--rotate is ignored: the destination is not a file",
        "--create-topic is ignored: the destination is not Pulsar",
    )
    assert run("create_topic=0").create_topic == 0
    assert run("pulsar_url=pulsar://[::1]").admin_url == "http://[::1]:8080"
    assert run(PULSAR_ADMIN_URL="http://admin:81/").admin_url == "http://admin:81"


def test_sources_tell_where_each_setting_came_from_and_no_password() -> None:
    config = run(
        "to=clickhouse://me:hunter2@h/d.t",
        toml={"fleet": {"seed": 9}},
        DEVICES="50000",
        PULSAR_URL="never read: malformed",
    )
    sources = {source.name: (source.value, source.origin) for source in config.sources}
    assert sources["--to"] == ("clickhouse://***@h/d.t", "--to")
    assert sources["--devices"] == ("50000", "DEVICES")
    assert sources["--seed"] == ("9", "fleet.seed in x.toml")
    assert sources["--rate"] == ("1000", "default")
    assert sources["--sites"] == ("1000, or DEVICES if that is less", "default")
    assert "hunter2" not in f"{config} {config!r} {config.sources}"


@pytest.mark.parametrize("toml", [None, {"schedule": RAMP}])
def test_a_config_crosses_to_a_worker_process(toml: dict[str, Any] | None) -> None:
    config = run("shard=1/3", "report=r.json", "duration=1m", toml=toml)
    assert pickle.loads(pickle.dumps(config)) == config


def test_other_commands_have_their_own_defaults() -> None:
    config = resolve_run({"to": "null:"}, {}, command="demo")
    assert peak(config) == 5000
    assert config.schedule.n_messages == 100_000


def test_outputs_are_checked_before_the_run(tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    check_outputs(run(f"report={report}", f"to={tmp_path}/out.jsonl"))
    assert list(tmp_path.iterdir()) == []
    report.write_text("{}")
    with pytest.raises(OutputExistsError, match=r"run\.json exists") as caught:
        check_outputs(run(f"report={report}"))
    assert "--force" in caught.value.hint
    check_outputs(resolve_run({"report": str(report), "force": True}, {}))
    for path, message in (
        (tmp_path / "missing" / "r.json", "there is no directory"),
        (report / "r.json", "Not a directory"),
        (tmp_path, "is a directory"),
        # Nobody can make a file there, not even root.
        (Path("/proc/r.json"), "cannot write in /proc"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_outputs(run(f"report={path}"))
    with pytest.raises(ConfigError, match=r"--to .*there is no directory"):
        check_outputs(run(f"to={tmp_path}/missing/out.parquet"))


def test_the_environment_and_the_file_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[fleet]\ndevices = 700\nseed = 3\n")
    monkeypatch.setenv("SEED", "4")
    monkeypatch.setenv("IOT_PRODUCER_CONFIG", str(file))
    assert read_environment()["SEED"] == "4"
    config = load_run({"to": "null:", "sites": "5"}, False)
    assert config.fleet == FleetSpec(devices=700, customers=700, sites=5, seed=4)
    file.write_text("[flet]\n")
    with pytest.raises(ConfigError, match=r"mine\.toml: unknown key 'flet'"):
        load_run({"to": "null:"}, False)


def test_usage_errors_come_before_anything_heavy_is_loaded() -> None:
    program = (
        "import sys, iot_producer.config, iot_producer.flags\n"
        "try:\n"
        "    iot_producer.config.resolve_run({'rate': '0'}, {})\n"
        "except iot_producer.config.ConfigError as error:\n"
        "    print(error.message)\n"
        "print(*sorted({'numpy', 'numba', 'pulsar', 'pyarrow', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "--rate must be above 0: '0'\n\n"
