"""Where a value comes from, and how each kind is read."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import pytest

from iot_producer.errors import ConfigError
from iot_producer.settings import Level, settle, settle_config

S = 10**9
# 2026-11-22T08:00:00Z, computed by hand: 20,779 days after 1970-01-01, and 8 h.
NOV_22_8H = (20_779 * 86_400 + 8 * 3_600) * S


def read(name: str, written: Any) -> Any:
    """The value of one setting of run, written as a flag (text) or in the TOML file."""
    if isinstance(written, str):
        return settle("run", {name: written}, {})[name].value
    keys = {"start": ("run", "start"), "devices": ("fleet", "devices"), "rate": ("run", "rate")}
    section, key = keys.get(name, ("run", name))
    return settle("run", {}, {}, {section: {key: written}})[name].value


def test_flag_then_variable_then_toml_then_default() -> None:
    toml = {"fleet": {"devices": 30}}
    environ = {"DEVICES": "20"}
    flags = {"devices": "10"}
    found = [
        settle("run", flags, environ, toml, "x.toml")["devices"],
        settle("run", {}, environ, toml, "x.toml")["devices"],
        settle("run", {}, {}, toml, "x.toml")["devices"],
        settle("run", {}, {})["devices"],
    ]
    assert [setting.value for setting in found] == [10, 20, 30, 100_000]
    assert [setting.level for setting in found] == [
        Level.FLAG,
        Level.VARIABLE,
        Level.TOML,
        Level.DEFAULT,
    ]
    assert [setting.origin for setting in found] == [
        "--devices",
        "DEVICES",
        "fleet.devices in x.toml",
        "default",
    ]


def test_what_is_overridden_is_not_read() -> None:
    assert settle("run", {"devices": "7"}, {"DEVICES": "many"})["devices"].value == 7


def test_an_empty_variable_is_not_set_and_an_empty_flag_is_wrong() -> None:
    assert settle("run", {}, {"DEVICES": " "})["devices"].value == 100_000
    with pytest.raises(ConfigError, match="--to is empty"):
        settle("run", {"to": ""}, {})


def test_a_switch_can_be_put_off_by_its_flag() -> None:
    settings = settle("run", {"force": False}, {"IOT_PRODUCER_FORCE": "yes"})
    assert (settings["force"].value, settings["force"].origin) == (False, "--no-force")


def test_defaults_differ_between_commands() -> None:
    rates = {command: settle(command, {}, {})["rate"].value for command in ("run", "demo")}
    assert rates == {"run": 1000, "demo": 5000}


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("devices", "1", 1),
        ("devices", "100_000", 100_000),
        ("devices", 10_000_000, 10_000_000),
        ("seed", "18446744073709551615", 2**64 - 1),
        ("seed", "0", 0),
        ("rate", "1000", Fraction(1000)),
        ("rate", 0.1, Fraction(1, 10)),
        ("rate", "1/3", Fraction(1, 3)),
        ("rate", "Max", "max"),
        ("duration", "1m30s", 90 * S),
        ("duration", 5, 5 * S),
        ("linger", "0", 0),
        ("give_up_after", "never", None),
        ("give_up_after", "45s", 45 * S),
        ("rotate_bytes", "1", 1),
        ("rotate_bytes", "256MB", 256_000_000),
        ("rotate_bytes", "1.5 GiB", 3 * 2**29),
        ("start", "now", None),
        ("start", "2026-11-22T08:00:00Z", NOV_22_8H),
        ("start", "2026-11-22 08:00", NOV_22_8H),
        ("start", "2026-11-22T09:30:00.25+01:30", NOV_22_8H + S // 4),
        ("start", "2026-11-22", NOV_22_8H - 8 * 3_600 * S),
        ("start", date(2026, 11, 22), NOV_22_8H - 8 * 3_600 * S),
        ("start", datetime(2026, 11, 22, 8), NOV_22_8H),
        ("shard", "2/3", (2, 3)),
        ("on_overload", "DROP", "drop"),
        ("force", "on", True),
        ("dry_run", False, False),
        ("topic", "t", "persistent://public/default/t"),
        ("admin_url", "http://h:8080/", "http://h:8080"),
    ],
)
def test_values(name: str, written: Any, expected: Any) -> None:
    found = read(name, written)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "written", "message", "hint"),
    [
        ("devices", "0", "--devices is too small: 0", "from 1 to 10000000"),
        ("devices", "-5", "--devices is negative: -5", "from 1"),
        ("devices", "10000001", "--devices is too large: 10000001", ""),
        ("devices", "1e5", "--devices is not a whole number: '1e5'", ""),
        ("devices", "9" * 5000, "--devices is not a whole number", ""),
        ("devices", "١٢", "--devices is not a whole number", ""),
        ("devices", True, "fleet.devices in the TOML file is not a whole number: True", ""),
        ("devices", 1.5, "is not a whole number: 1.5", ""),
        ("messages", "0", "--messages is too small: 0", ""),
        ("rate", "0", "--rate must be above 0: '0'", "1000"),
        ("rate", "-1", "--rate must not be negative: '-1'", ""),
        ("rate", "fast", "--rate is not a rate: 'fast'", ""),
        ("rate", "nan", "--rate is not a rate: 'nan'", ""),
        ("rate", "1000000000000", "--rate is above 1000000000 a second", ""),
        ("rate", True, "run.rate in the TOML file is not a rate: True", ""),
        ("duration", "-5s", "--duration must not be negative: '-5s'", "250ms"),
        ("duration", "soon", "--duration is not a duration: 'soon'", ""),
        ("give_up_after", "nevr", "--give-up-after is not a duration", "Or write never."),
        ("rotate_bytes", "0", "--rotate is too small: '0'", "at least 1 bytes"),
        ("rotate_bytes", "256M", "--rotate is not a size: '256M'", "256MB"),
        ("rotate_bytes", "-1MB", "--rotate is not a size", ""),
        ("rotate_bytes", "9999999TB", "--rotate is too large", ""),
        ("start", "tomorrow", "--start is not a time: 'tomorrow'", "2026-11-22T08:00:00Z"),
        ("start", "1999-12-31", "--start is out of range", "2000 to 2199"),
        ("start", 5, "run.start in the TOML file is not a time: 5", ""),
        ("shard", "3", "--shard is not a shard: '3'", "0/3, 1/3 and 2/3"),
        ("shard", "-1/3", "--shard is not a shard", ""),
        ("shard", "3/3", "--shard does not exist: '3/3'", "2/3"),
        ("shard", "0/0", "--shard has 0 shards", "1 … 100000"),
        ("compression", "lz5", "--compression does not know 'lz5'", "did you mean lz4?"),
        ("force", "perhaps", "--force is neither yes nor no: 'perhaps'", "true"),
        ("topic", "a b", "--topic: topic 'a b'", ""),
        ("workers", "0", "--workers is too small: 0", ""),
        ("block_records", "2001", "--block-records is too large: 2001", "from 1 to 2000"),
        ("report", "a\0b", "--report is empty", ""),
        ("on_overload", 5, "run.on_overload in the TOML file is not a text: 5", "quotes"),
    ],
)
def test_mistakes(name: str, written: Any, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(name, written)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert len(caught.value.message) < 200


def test_an_error_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="MESSAGES_PER_SECOND must be above 0: '0'"):
        settle("run", {}, {"MESSAGES_PER_SECOND": "0"})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[fleet]\ndevces = 5", "x.toml: unknown key 'fleet.devces'", "did you mean fleet.devices"),
        ("[flet]\ndevices = 5", "x.toml: unknown key 'flet'", "did you mean fleet?"),
        ("devices = 5", "x.toml: unknown key 'devices'", "did you mean fleet.devices"),
        ("[run]\ndevices = 5", "x.toml: unknown key 'run.devices'", "did you mean fleet.devices?"),
        ("[fleet]\ncolour = 5", "unknown key 'fleet.colour'", "known: fleet.customers"),
        ("fleet = 5", "x.toml: fleet is not a table", "write [fleet]"),
        ("schedule = 'fast'", "x.toml: schedule is not a table", "write [schedule]"),
        ("description = 5", "x.toml: description is not a text", ""),
        ("[[fleet]]\ndevices = 5", "x.toml: fleet is not a table", ""),
        ("[schedul]\nkind = 'max'", "x.toml: unknown key 'schedul'", "did you mean schedule?"),
    ],
)
def test_unknown_keys_of_the_toml_file(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settle("run", {}, {}, tomllib.loads(text), "x.toml")
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_keys_of_other_commands_are_known_everywhere() -> None:
    toml = {"stack": {"heap": "512MiB"}, "description": "both"}
    assert "heap_bytes" not in settle("run", {}, {}, toml)
    assert settle("stack up", {}, {}, toml)["heap_bytes"].value == 512 * 2**20


def test_the_file_is_named_by_flag_or_variable() -> None:
    environ = {"IOT_PRODUCER_CONFIG": "b.toml", "DEVICES": "not read here"}
    assert settle_config({"config": "a.toml"}, environ) == "a.toml"
    assert settle_config({}, environ) == "b.toml"
    assert settle_config({}, {}) is None


def test_a_misspelt_key_outside_its_table_names_the_nearest_one():
    with pytest.raises(ConfigError) as caught:
        settle("run", {}, {}, {"raet": 5})
    assert caught.value.hint == "did you mean run.rate: the key rate in the table [run]?"


def test_where_to_listen_is_text_or_a_number() -> None:
    def metrics(written: object) -> object:
        return settle("run", {}, {}, {"output": {"metrics": written}}, "x.toml")["metrics"].value

    assert settle("run", {}, {})["metrics"].value is None
    assert settle("run", {"metrics": "[::1]:1"}, {})["metrics"].value == ("::1", 1)
    assert metrics(8080) == ("127.0.0.1", 8080)
    assert metrics("0.0.0.0:8080") == ("0.0.0.0", 8080)
    environ = {"IOT_PRODUCER_METRICS": "0.0.0.0:8080"}
    assert settle("run", {}, environ)["metrics"].value == ("0.0.0.0", 8080)
    assert settle("run", {"metrics": "off"}, environ)["metrics"].value is None
    for wrong in (True, 1.5, "nowhere"):
        with pytest.raises(ConfigError, match=r"output\.metrics in x\.toml"):
            metrics(wrong)
