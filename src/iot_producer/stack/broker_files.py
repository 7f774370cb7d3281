"""What the broker is told: its configuration, its log's bounds, and its command line.

Promise: texts and argument lists only, made of the stack's settings. This module must not know how
a process is run.

Every setting that differs from the distribution's own file is here with its reason. An override
replaces the line of that file. Appended behind it, it would not do: the broker takes the last of
two equal keys, but the storage below it (BookKeeper) takes the first.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from iot_producer.stack.java import Java
from iot_producer.stack.ports import LOOPBACK
from iot_producer.stack.stack_config import StackConfig

MIB: Final = 1 << 20

LOG_FILE: Final = "logs/broker.log"
"""What the broker logs, below the stack's folder."""
PREVIOUS_LOG_FILE: Final = "logs/broker.previous.log"
"""The same of the start before."""
OUTPUT_FILE: Final = "logs/jvm.log"
"""What Java itself prints, below the stack's folder."""
CONF_FILE: Final = "broker.conf"
LOG_CONF_FILE: Final = "log4j2.xml"
DATA_FOLDERS: Final = ("metadata", "bookkeeper")
TEMPORARY_FOLDER: Final = "tmp"

JAVA_OPTION_VARIABLES: Final = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
"""Variables in which Java takes options that would override the bounds set here."""

_LOG_FILE_MB: Final = 10
_N_OLD_LOGS: Final = 3
_JOURNAL_MB: Final = 128
_UNSAFE_FLAG_SINCE: Final = 23
_BOOKIE: Final = re.compile(r'^bookieHost: "[^":]*:(\d+)"', re.MULTILINE)

# What bin/pulsar of the distribution opens of Java's modules.
_OPENED: Final = (
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.util.zip",
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.platform",
    "java.management/sun.management",
    "jdk.management/com.sun.management.internal",
)


def ledger_mb(retention_mb: int) -> int:
    """How much goes into one ledger, MiB: only whole, closed ledgers are ever deleted."""
    return min(512, max(1, retention_mb // 16))


def overrides(
    config: StackConfig, broker_port: int, admin_port: int, disk_bytes: int
) -> dict[str, str]:
    """The settings that differ from the distribution's, by key.

    Args:
        config: of the stack.
        broker_port: where clients connect.
        admin_port: where the admin API is.
        disk_bytes: size of the whole disk that the data are on.
    """
    part_mb = ledger_mb(config.retention_mb)
    full = 1 - config.min_free_disk_mb * MIB / disk_bytes
    settings: dict[str, object] = {
        # Loopback only. The bookie asks for the interface, or it listens on all of them.
        "bindAddress": LOOPBACK,
        "advertisedAddress": LOOPBACK,
        # Without "ephemeral" ports it passes the port over that it is given, and takes any.
        "allowEphemeralPorts": True,
        "listeningInterface": "lo",
        "allowLoopback": True,
        "brokerServicePort": broker_port,
        "webServicePort": admin_port,
        # A topic stays when nobody is connected to it.
        "brokerDeleteInactiveTopicsEnabled": False,
        "allowAutoTopicCreation": config.auto_create_topics,
        "brokerDeduplicationEnabled": config.deduplication,
        # A topic keeps its newest data though nobody subscribed, and not more: small ledgers that
        # are closed by size at once, looked through often.
        "defaultRetentionSizeInMB": config.retention_mb,
        "defaultRetentionTimeInMinutes": config.retention_minutes,
        "retentionCheckIntervalInSeconds": 10,
        "managedLedgerMaxSizePerLedgerMbytes": part_mb,
        "managedLedgerMinLedgerRolloverTimeMinutes": 0,
        "managedLedgerMaxLedgerRolloverTimeMinutes": 60,
        # What a subscription has not read is not deleted; beyond this bound, which must be less
        # than the other, producers are refused, loudly: holding them back or dropping data would
        # falsify a measurement.
        "backlogQuotaDefaultLimitGB": -1,
        "backlogQuotaDefaultLimitBytes": config.retention_mb * MIB * 9 // 10,
        "backlogQuotaDefaultRetentionPolicy": "producer_exception",
        "backlogQuotaCheckIntervalInSeconds": 10,
        # The bookie gives the disk back: files of about a ledger, deleted within seconds of their
        # last ledger, and rewritten when they are mostly dead. The journal is bounded too (its
        # defaults would take up to 12 GB).
        "logSizeLimit": min(256, max(16, 2 * part_mb)) * MIB,
        "gcWaitTime": 10_000,
        "minorCompactionInterval": 300,
        "majorCompactionInterval": 3600,
        "journalMaxSizeMB": _JOURNAL_MB,
        "journalMaxBackups": 1,
        # The disk is never filled up: the bookie stores nothing more before.
        "diskUsageThreshold": f"{min(0.999999, max(0.001, full)):.6f}",
        "diskUsageWarnThreshold": f"{min(0.999998, max(0.0009, full - 0.001)):.6f}",
        # One user: fewer threads start sooner (measured: 6.6 s to 6.0 s, 11.2 to 10.0 CPU-s), and
        # a broker at its limit is as fast.
        "functionsWorkerEnabled": False,
        "webSocketServiceEnabled": False,
        "numIOThreads": 2,
        "numOrderedExecutorThreads": 2,
        "numHttpServerThreads": 8,
        "numExecutorThreadPoolSize": 2,
        "numCacheExecutorThreadPoolSize": 2,
        "topicOrderedExecutorThreadNum": 2,
        "numWorkerThreadsForNonPersistentTopic": 1,
        "managedLedgerNumSchedulerThreads": 2,
        "bookkeeperClientNumWorkerThreads": 2,
        "bookkeeperNumberOfChannelsPerBookie": 4,
    }
    return {key: _text(value) for key, value in settings.items()} | dict(config.extra)


def storage_port(cookie: str) -> int | None:
    """The port of the storage (the bookie) that its data belong to.

    The server starts it on that port again, whatever it is told: the data are known under it.

    Args:
        cookie: text of the file ``current/VERSION`` beside the data.

    Returns:
        None where it does not say.
    """
    found = _BOOKIE.search(cookie)
    return int(found.group(1)) if found else None


def merged_conf(original: str, changes: dict[str, str]) -> str:
    """A properties file with some values replaced, comments left out, every key once.

    Args:
        original: text of the distribution's file; of equal keys the last one counts.
        changes: value by key.
    """
    values = {}
    for line in original.splitlines():
        key, separator, value = line.strip().partition("=")
        if separator and not key.startswith(("#", "!")):
            values[key.strip()] = value.strip()
    values.update(changes)
    return "".join(f"{key}={value}\n" for key, value in values.items())


def log_conf() -> str:
    """What is logged and where: files that are rotated and bounded; flushed line by line.

    The log is what explains a broker that died, so nothing of it may wait in a buffer.
    """
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName="${{sys:iot.log}}" filePattern="${{sys:iot.log}}.%i">
      <PatternLayout pattern="%d{{ISO8601_OFFSET_DATE_TIME_HHMM}} [%t] %-5level %c{{1}} - %msg%n"/>
      <SizeBasedTriggeringPolicy size="{_LOG_FILE_MB} MB"/>
      <DefaultRolloverStrategy max="{_N_OLD_LOGS}"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Logger name="org.eclipse.jetty.server.RequestLog" level="warn"/>
    <Root level="info"><AppenderRef ref="file"/></Root>
  </Loggers>
</Configuration>
"""


def marker(home: Path) -> str:
    """The argument by which the processes of a stack are known."""
    return f"-Diot.producer.stack={home}"


def command_line(config: StackConfig, java: Java, server: Path, storage_at: int) -> list[str]:
    """How the broker is started.

    Args:
        config: of the stack.
        java: that runs it.
        server: the unpacked distribution.
        storage_at: port where the storage listens.
    """
    home = config.home
    return [
        str(java.executable),
        "-cp",
        f"{server}/conf:{server}/lib/*",
        marker(home),
        # Measured on 2 cores: G1 takes 548,000 messages/s at 0.53 CPU-s per million where the
        # serial collector takes 447,000 at 0.64; the start is as fast.
        "-XX:+UseG1GC",
        f"-Xms{min(128, config.heap_mb)}m",
        f"-Xmx{config.heap_mb}m",
        f"-XX:MaxDirectMemorySize={config.direct_mb}m",
        "-XX:MaxMetaspaceSize=256m",
        "-XX:ReservedCodeCacheSize=128m",
        "-XX:+ExitOnOutOfMemoryError",
        f"-XX:ErrorFile={home}/logs/java-crash.log",
        # No file in the shared temporary folder, and no pauses while one is written.
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={home / TEMPORARY_FOLDER}",
        "-Djava.net.preferIPv4Stack=true",
        *(f"--add-opens={name}=ALL-UNNAMED" for name in _OPENED),
        *(
            ["--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED"]
            if java.version >= _UNSAFE_FLAG_SINCE
            else []
        ),
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dio.netty.recycler.maxCapacityPerThread=4096",
        "-Dpulsar.allocator.exit_on_oom=true",
        "-Dbookkeeper.metadata.bookie.drivers="
        "org.apache.pulsar.metadata.bookkeeper.PulsarMetadataBookieDriver",
        "-Dbookkeeper.metadata.client.drivers="
        "org.apache.pulsar.metadata.bookkeeper.PulsarMetadataClientDriver",
        "-Dlog4j2.is.webapp=false",
        "-Dlog4j.shutdownHookEnabled=false",
        f"-Dlog4j.configurationFile={home / LOG_CONF_FILE}",
        f"-Diot.log={home / LOG_FILE}",
        "org.apache.pulsar.PulsarStandaloneStarter",
        "--config",
        str(home / CONF_FILE),
        "--no-functions-worker",
        "--no-stream-storage",
        "--advertised-address",
        LOOPBACK,
        "--metadata-dir",
        str(home / DATA_FOLDERS[0]),
        "--bookkeeper-dir",
        str(home / DATA_FOLDERS[1]),
        "--bookkeeper-port",
        str(storage_at),
    ]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
