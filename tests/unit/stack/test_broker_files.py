"""What the broker is told."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from iot_producer.stack.broker_files import (
    command_line,
    ledger_mb,
    log_conf,
    marker,
    merged_conf,
    overrides,
    storage_port,
)
from iot_producer.stack.java import Java
from iot_producer.stack.stack_config import StackConfig

TERABYTE = 1 << 40


def config(**settings: Any) -> StackConfig:
    return StackConfig(state_dir=Path("/state"), cache_dir=Path("/cache"), **settings)


def told(**settings: Any) -> dict[str, str]:
    return overrides(config(**settings), 6650, 8080, TERABYTE)


def test_an_override_replaces_every_line_of_its_key() -> None:
    original = "# comment\na=1\nb = x=y \n\n#c=3\na=2\n! other\nd=\n"
    assert merged_conf(original, {"b": "new", "e": "5"}) == "a=2\nb=new\nd=\ne=5\n"


def test_everything_is_on_the_loopback_address() -> None:
    found = told()
    assert found["bindAddress"] == found["advertisedAddress"] == "127.0.0.1"
    assert (found["listeningInterface"], found["allowLoopback"]) == ("lo", "true")
    assert (found["brokerServicePort"], found["webServicePort"]) == ("6650", "8080")


def test_extra_settings_go_before_all_others() -> None:
    found = told(extra={"brokerServicePortTls": "6651", "numIOThreads": "8"})
    assert (found["brokerServicePortTls"], found["numIOThreads"]) == ("6651", "8")
    assert found["brokerServicePort"] == "6650"
    assert "6651" not in repr(config(extra={"brokerServicePortTls": "6651"}))


def test_topics_stay_though_nobody_is_connected() -> None:
    found = told(retention_mb=2048, retention_minutes=60)
    assert found["brokerDeleteInactiveTopicsEnabled"] == "false"
    assert found["defaultRetentionSizeInMB"] == "2048"
    assert found["defaultRetentionTimeInMinutes"] == "60"


def test_the_backlog_is_bounded_below_the_retention_as_the_broker_demands() -> None:
    for retention_mb in (1, 64, 10_240):
        found = told(retention_mb=retention_mb)
        assert 0 < int(found["backlogQuotaDefaultLimitBytes"]) < retention_mb << 20
        assert found["backlogQuotaDefaultLimitGB"] == "-1"


@pytest.mark.parametrize(
    ("retention_mb", "size_mb"), [(1, 1), (64, 4), (1024, 64), (10_240, 512), (10**6, 512)]
)
def test_ledgers_are_a_fraction_of_the_retention(retention_mb: int, size_mb: int) -> None:
    assert ledger_mb(retention_mb) == size_mb
    assert told(retention_mb=retention_mb)["managedLedgerMaxSizePerLedgerMbytes"] == str(size_mb)


def test_the_disk_is_left_free_to_the_last_bytes() -> None:
    found = told(min_free_disk_mb=1024)
    assert float(found["diskUsageThreshold"]) == pytest.approx(1 - (1 << 30) / TERABYTE, abs=1e-6)
    for free_mb in (0, 1024, 10**9):
        found = told(min_free_disk_mb=free_mb)
        assert 0 < float(found["diskUsageWarnThreshold"]) < float(found["diskUsageThreshold"]) < 1


def test_switches() -> None:
    assert told()["brokerDeduplicationEnabled"] == "false"
    assert told(deduplication=True)["brokerDeduplicationEnabled"] == "true"
    assert told(auto_create_topics=False)["allowAutoTopicCreation"] == "false"


def test_the_log_is_bounded_xml() -> None:
    root = ET.fromstring(log_conf())
    (policy,) = root.iter("SizeBasedTriggeringPolicy")
    (strategy,) = root.iter("DefaultRolloverStrategy")
    (file,) = root.iter("RollingFile")
    assert policy.get("size") == "10 MB"
    assert strategy.get("max") == "3"
    assert file.get("fileName") == "${sys:iot.log}"


@pytest.mark.parametrize(("version", "has_it"), [(17, False), (21, False), (23, True), (25, True)])
def test_flags_that_a_java_does_not_know_are_left_out(version: int, has_it: bool) -> None:
    java = Java(Path("/j/bin/java"), version, "x")
    command = command_line(config(heap_mb=300, direct_mb=400), java, Path("/server"), 20_001)
    assert ("--sun-misc-unsafe-memory-access=allow" in command) is has_it
    assert command[:4] == [
        "/j/bin/java",
        "-cp",
        "/server/conf:/server/lib/*",
        marker(Path("/state/default")),
    ]
    assert {"-Xmx300m", "-XX:MaxDirectMemorySize=400m"} < set(command)
    assert command[-2:] == ["--bookkeeper-port", "20001"]


def test_the_port_that_data_belong_to() -> None:
    cookie = '5\nbookieHost: "127.0.0.1:26792"\njournalDir: "/x:1"\n'
    assert storage_port(cookie) == 26_792
    assert storage_port('5\nbookieHost: "name"\n') is None
    assert storage_port("") is None
