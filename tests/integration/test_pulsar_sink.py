"""The sinks and the reader on a real broker that behaves: what was confirmed is what is stored."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
from types import FrameType
from urllib.parse import urlsplit

import pulsar
import pytest
from pulsar_cases import (
    FLEET,
    START_NS,
    STEP_NS,
    Account,
    AnySink,
    block,
    by_key,
    expected,
    new_topic,
    sink,
    stored,
)

from iot_producer.clock import SystemClock
from iot_producer.errors import ConfigError, DestinationError, RefusedError
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.sources.pulsar import PulsarReaderConfig, PulsarTopicReader
from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration


@pytest.fixture(params=["official", "native"])
def client(request: pytest.FixtureRequest) -> str:
    """With which of the two sinks."""
    return str(request.param)


def java_hash(text: str) -> int:
    total = 0
    for character in text:
        total = (31 * total + ord(character)) & 0xFFFFFFFF
    return total & 0x7FFFFFFF


@pytest.mark.parametrize("n_partitions", [0, 1, 3])
def test_all_that_is_confirmed_is_stored_once_as_it_was_made(
    broker: StackStatus, client: str, n_partitions: int
):
    topic = new_topic()
    PulsarAdmin(broker.admin_url).create_topic(topic, n_partitions)
    blocks = [block(first, 500) for first in range(0, 10_000, 500)] + [block(10_000, 1)]
    account = Account()
    with sink(broker.pulsar_url, topic, client) as opened:
        assert opened.partitions == n_partitions
        for b in blocks:
            account.send(opened, b)
        account.drain(opened)
        assert opened.n_pending == 0
    sent = [record for b in blocks for record in expected(b)]
    assert by_key(account.confirmed()) == by_key(sent)
    found = stored(broker.pulsar_url, topic, chunk_records=700)
    if n_partitions == 0:
        assert found == {0: sent}
    else:
        places = {r[1]: java_hash(r[1]) % n_partitions for r in sent}
        assert found == {p: [r for r in sent if places[r[1]] == p] for p in range(n_partitions)}


def test_a_block_gets_one_receipt_for_each_partition(broker: StackStatus, client: str):
    topic = new_topic()
    PulsarAdmin(broker.admin_url).create_topic(topic, 3)
    account = Account()
    with sink(broker.pulsar_url, topic, client) as opened:
        account.send(opened, block(0, 300))
        account.drain(opened)
    sent = account.sent[0]
    assert sum(sent.n_by_partition.values()) == 300
    assert {r.partition: r.n_records for r in account.receipts} == dict(sent.n_by_partition)
    assert len(account.receipts) == len(sent.n_by_partition) == 3
    assert sent.raw_bytes == sum(len(record[0]) for record in expected(block(0, 300)))


def test_an_unpartitioned_block_gets_one_receipt(broker: StackStatus, client: str):
    account = Account()
    with sink(broker.pulsar_url, new_topic(), client) as opened:
        account.send(opened, block(0, 2_000))
        account.drain(opened)
    (receipt,) = account.receipts
    assert (receipt.first, receipt.stop, receipt.n_records) == (0, 2_000, 2_000)
    assert (receipt.partition, receipt.members, receipt.error) == (None, None, "")
    assert account.sent[0].n_by_partition == {}


@pytest.mark.parametrize("compression", ["zstd", "zlib", "snappy", "none"])
def test_every_compression_can_be_read(broker: StackStatus, client: str, compression: str):
    topic = new_topic()
    account = Account()
    with sink(broker.pulsar_url, topic, client, compression=compression) as opened:
        account.send(opened, block(0, 100))
        account.drain(opened)
    assert stored(broker.pulsar_url, topic) == {0: expected(block(0, 100))}


def test_the_entry_has_the_first_intended_time_as_its_sequence_id(broker: StackStatus, client: str):
    topic = new_topic()
    account = Account()
    with sink(broker.pulsar_url, topic, client) as opened:
        account.send(opened, block(42, 10))
        account.drain(opened)
    address = urlsplit(broker.admin_url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    path = topic.replace("://", "/")
    connection.request(
        "GET", f"/admin/v2/{path}/examinemessage?initialPosition=earliest&messagePosition=1"
    )
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    connection.close()
    assert answer.status == 200
    assert headers["x-pulsar-sequence-id"] == str(START_NS + 42 * STEP_NS)
    assert headers["x-pulsar-num-batch-message"] == "10"


def test_the_client_of_others_reads_the_same(broker: StackStatus, client: str):
    topic = new_topic()
    account = Account()
    with sink(broker.pulsar_url, topic, client) as opened:
        account.send(opened, block(0, 50))
        account.drain(opened)
    logger = pulsar.FileLogger(pulsar.LoggerLevel.Error, "/dev/null")
    client = pulsar.Client(broker.pulsar_url, logger=logger)
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    messages = [reader.read_next(10_000) for _ in range(50)]
    found = [(m.data(), m.partition_key(), m.properties(), m.event_timestamp()) for m in messages]
    assert {m.producer_name() for m in messages} == {"lane-0"}
    client.close()
    assert found == expected(block(0, 50))


def test_the_queue_is_bounded_and_sending_waits_for_room(broker: StackStatus, client: str):
    account = Account()
    with sink(broker.pulsar_url, new_topic(), client, max_pending=250) as opened:
        for first in range(0, 5_000, 100):
            account.send(opened, block(first, 100))
            assert opened.n_pending <= 250
        account.send(opened, block(5_000, 400))  # larger than the limit: alone
        account.drain(opened)
    assert len(account.confirmed()) == 5_400


def test_a_block_that_does_not_fit_into_an_entry_is_refused(broker: StackStatus):
    with (
        sink(broker.pulsar_url, new_topic(), max_entry_bytes=10_000) as opened,
        pytest.raises(ConfigError, match="a block of 13 records does not fit") as caught,
    ):
        opened.send(block(0, 13))
    assert caught.value.hint == "lower --block-records to 12"


def test_the_name_is_taken_while_it_is_used_and_free_afterwards(broker: StackStatus, client: str):
    topic, said = new_topic(), list[str]()
    with (
        sink(broker.pulsar_url, topic, client),
        pytest.raises(RefusedError, match="producer lane-0 is at work on") as caught,
        sink(broker.pulsar_url, topic, client, name_wait_s=0.5, say=said.append),
    ):
        pass
    assert "SHARD" in caught.value.hint
    assert said
    with sink(broker.pulsar_url, topic, client) as again:
        assert again.n_pending == 0


def test_a_topic_that_is_not_created_is_told(broker: StackStatus, client: str):
    admin = PulsarAdmin(broker.admin_url)
    admin.call("PUT", f"/admin/v2/namespaces/public/strict-{client}")
    admin.set_policy(
        f"public/strict-{client}", "autoTopicCreation", {"allowAutoTopicCreation": False}
    )
    topic = new_topic(f"persistent://public/strict-{client}")
    with pytest.raises(RefusedError) as caught, sink(broker.pulsar_url, topic, client):
        pass
    assert topic in caught.value.message
    assert "--create-topic" in caught.value.hint
    with pytest.raises(RefusedError, match="does not exist"):
        stored(broker.pulsar_url, topic)


def test_a_namespace_that_does_not_exist_is_told(broker: StackStatus, client: str):
    topic = new_topic("persistent://nobody/nowhere")
    with (
        pytest.raises(RefusedError, match="does not exist"),
        sink(broker.pulsar_url, topic, client, give_up_after_s=2.0),
    ):
        pass


def test_with_deduplication_what_was_stored_before_fails_and_what_follows_is_stored(
    broker: StackStatus,
    client: str,
):
    admin = PulsarAdmin(broker.admin_url)
    admin.call("PUT", f"/admin/v2/namespaces/public/once-{client}")
    admin.set_deduplication(f"public/once-{client}", True)
    topic = new_topic(f"persistent://public/once-{client}")
    admin.create_topic(topic, 2)
    first, second = Account(), Account()
    with sink(broker.pulsar_url, topic, client) as opened:
        first.send(opened, block(0, 200))
        first.drain(opened)
    with sink(broker.pulsar_url, topic, client) as opened:
        second.send(opened, block(0, 200))
        second.send(opened, block(200, 200))
        second.drain(opened)
    assert len(first.confirmed()) == 200
    failed = [r for r in second.receipts if r.error]
    assert sum(r.n_records for r in failed) == 200
    assert {r.first for r in failed} == {0}
    assert "deduplication would drop" in failed[0].error
    assert by_key(second.confirmed()) == by_key(expected(block(200, 200)))
    found = stored(broker.pulsar_url, topic)
    assert by_key(found[0] + found[1]) == by_key(expected(block(0, 400)))


def test_reading_goes_on_where_it_ended(broker: StackStatus):
    topic = new_topic()
    PulsarAdmin(broker.admin_url).create_topic(topic, 2)
    account = Account()
    reader = PulsarTopicReader(PulsarReaderConfig(broker.pulsar_url, topic), SystemClock())
    assert reader.partitions == 2
    assert list(reader) == []
    with sink(broker.pulsar_url, topic) as opened:
        for turn in range(3):
            account.send(opened, block(150 * turn, 150))
            account.drain(opened)
            texts = [chunk.text(i) for chunk in reader for i in range(chunk.n)]
            assert sorted(texts) == sorted(r[0] for r in expected(block(150 * turn, 150)))
    assert list(reader) == []
    reader.close()


def test_reading_since_a_time_leaves_out_what_was_published_before(broker: StackStatus):
    topic, clock = new_topic(), SystemClock()
    account = Account()
    with sink(broker.pulsar_url, topic) as opened:
        account.send(opened, block(0, 10))
        account.drain(opened)
        clock.sleep_until(clock.now_ns() + 20_000_000)
        between_ms = clock.now_ns() // 1_000_000
        account.send(opened, block(10, 10))
        account.drain(opened)
    assert stored(broker.pulsar_url, topic, since_ms=between_ms) == {0: expected(block(10, 10))}
    assert stored(broker.pulsar_url, topic, since_ms=between_ms + 60_000) == {}


class StoppedError(DestinationError):
    """What a signal handler raises."""


def test_what_a_signal_handler_raises_ends_sending_and_nothing_of_the_block_is_confirmed(
    broker: StackStatus,
    client: str,
):
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise StoppedError("stopped")

    def send_all(to: AnySink) -> None:
        for first in range(0, 10_000_000, 1_000):
            account.send(to, block(first, 1_000))

    account, before = Account(), signal.signal(signal.SIGUSR1, stop)
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGUSR1))
    try:
        with sink(broker.pulsar_url, new_topic(), client) as opened:
            timer.start()
            with pytest.raises(StoppedError):
                send_all(opened)
            timer.join()
            account.drain(opened, 5.0)
        account.receipts += opened.receipts()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert {r.first for r in account.receipts} <= set(account.sent)


FORGOTTEN = """
import sys
sys.path.insert(0, sys.argv[1])
import pulsar_cases as cases
url, topic, client = sys.argv[2:]
if client == "native":
    config = cases.NativePulsarConfig(cases.hosts_of(url), topic)
    sink = cases.NativePulsarSink(config, cases.FLEET, cases.SystemClock(), print)
else:
    config = cases.PulsarSinkConfig(url, topic)
    sink = cases.PulsarSink(config, cases.FLEET, cases.SystemClock(), print)
for first in range(0, 5000, 500):
    sink.send(cases.block(first, 500))
"""


def test_a_program_that_forgets_to_close_ends_quietly(
    broker: StackStatus, client: str, request: pytest.FixtureRequest
):
    folder = str(request.path.parent)
    for _ in range(5):
        ended = subprocess.run(
            [sys.executable, "-c", FORGOTTEN, folder, broker.pulsar_url, new_topic(), client],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_closing_ends_the_threads(broker: StackStatus, client: str):
    def threads() -> set[str]:
        return set(os.listdir("/proc/self/task"))

    clock, topic = SystemClock(), new_topic()
    with sink(broker.pulsar_url, topic, client):
        pass
    before = threads()  # those of other tests may end meanwhile
    for _ in range(3):
        with sink(broker.pulsar_url, topic, client) as opened:
            opened.send(block(0, 10))
            assert threads() - before
    deadline_ns = clock.now_ns() + 5_000_000_000
    while threads() - before and clock.now_ns() < deadline_ns:
        clock.sleep_until(clock.now_ns() + 10_000_000)
    assert not threads() - before
    assert len(FLEET.identity) == 2_000
