"""Faults in the middle of a load at the maximum rate, with entries of some hundred kB; TLS too.

Large entries take another way than small ones: the event loop sends them, and the socket takes them
in pieces; with TLS those are OpenSSL's. What must hold is the same. How far a load has come is told
by the bytes that have gone through the proxy, not by time; it is bounded, for in a minute it would
fill gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fault_cases import (
    FaultyPulsar,
    Run,
    assert_exactly_once,
    new_topic,
    pause,
    producing,
    verified,
)
from pulsar_cases import hosts_of
from secured_pulsar import secured_broker

from chaos_proxy import ChaosProxy, Way
from iot_producer.report import RunReport

pytestmark = pytest.mark.integration

N = 1_000_000
# Blocks are full only where there are devices enough for them. The log is not read meanwhile.
LARGE = ("--devices", "20000", "--block-records", "2000", "--stats-interval", "10s")
# Entries above it are left to the event loop (pulsar/producer.py).
SMALL_BYTES = 64 * 1024
# More than --max-pending: when so much has gone, all producers are at work again after a fault.
A_WHILE_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Entrance:
    """A way to a broker that deduplicates, through a proxy; look-ups lead through it again.

    Attributes:
        pulsar: the broker, and the proxy.
        url: of the broker, through the proxy.
        env: what a client needs besides.
    """

    pulsar: FaultyPulsar
    url: str
    env: dict[str, str] = field(default_factory=dict)

    def new_topic(self, partitions: int) -> str:
        topic = new_topic()
        self.pulsar.admin.create_topic(topic, partitions)
        return topic

    def loading(self, folder: Path, topic: str, n: int = N) -> AbstractContextManager[Run]:
        """A run at full speed."""
        return producing(folder, self.url, topic, *LARGE, messages=n, rate="max", **self.env)

    def wait_for_load(self, run: Run) -> None:
        """Until a run has sent for a while."""
        n_forwarded = self.pulsar.chaos.n_forwarded
        enough = n_forwarded(Way.TO_SERVER) + A_WHILE_BYTES
        while n_forwarded(Way.TO_SERVER) < enough:
            assert run.program.process.poll() is None, "the load is over"
            pause(0.005)

    def verify(self, run: Run, topic: str, n: int = N) -> None:
        """Everything is there once; then it is deleted."""
        assert_exactly_once(verified(self.pulsar.direct_url, topic, run.report_file), n)
        self.pulsar.admin.delete_topic(topic, force=True)


@pytest.fixture(scope="module")
def entrances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Entrance]]:
    """Plain and with TLS, to one broker."""
    folder = tmp_path_factory.mktemp("full-speed")
    with secured_broker(folder, tokens=False, deduplication=True) as broker, ExitStack() as proxies:
        assert broker.config is not None
        assert broker.status is not None
        found = {}
        for kind, url in (("plain", broker.url), ("TLS", broker.tls_url)):
            (host,) = hosts_of(url)
            chaos = proxies.enter_context(ChaosProxy(host))
            pulsar = FaultyPulsar(broker.config, broker.status, chaos)
            found[kind] = Entrance(pulsar, url.replace(str(host[1]), str(chaos.port)))
        found["TLS"].env["PULSAR_TLS_TRUST_STORE"] = str(broker.authority.trust_store)
        yield found


@pytest.fixture(params=["plain", "TLS"])
def entrance(entrances: dict[str, Entrance], request: pytest.FixtureRequest) -> Entrance:
    return entrances[request.param]


def assert_was_hit(report: RunReport, partitions: int, n_faults: int) -> None:
    """The entries were large, and each producer came back from each fault with the load."""
    n_producers = max(partitions, 1)
    (lane,) = report.lanes
    assert lane.blocks is not None
    assert report.sink.wire_bytes > n_producers * len(lane.blocks) * SMALL_BYTES
    assert report.sink.n_reconnects >= n_producers * n_faults


@pytest.mark.parametrize("partitions", [0, 3])
def test_resets_in_mid_frame(entrance: Entrance, tmp_path: Path, partitions: int):
    resets = (
        (1, Way.TO_SERVER),
        (100_000, Way.TO_SERVER),
        (2_000_000, Way.TO_SERVER),  # some entries later
        (1, Way.TO_CLIENT),  # a receipt is on its way: what it is for is stored already
        (100, Way.TO_CLIENT),
    )
    topic = entrance.new_topic(partitions)
    with entrance.loading(tmp_path, topic) as run:
        for n_bytes, way in resets:
            entrance.wait_for_load(run)
            entrance.pulsar.chaos.reset_after(n_bytes, way)
        report = run.completed()
    assert_was_hit(report, partitions, len(resets))
    entrance.verify(run, topic)


@pytest.mark.parametrize("partitions", [0, 3])
def test_a_topic_that_is_unloaded_again_and_again(
    entrance: Entrance, tmp_path: Path, partitions: int
):
    topic = entrance.new_topic(partitions)
    with entrance.loading(tmp_path, topic) as run:
        for _ in range(3):
            entrance.wait_for_load(run)
            entrance.pulsar.admin.call("PUT", f"/admin/v2/{topic.replace('://', '/')}/unload")
        report = run.completed()
    assert_was_hit(report, partitions, 3)
    entrance.verify(run, topic)


@pytest.mark.slow
def test_a_killed_broker(entrances: dict[str, Entrance], tmp_path: Path):
    n, partitions = N // 2, {"plain": 3, "TLS": 0}
    topics = {kind: entrances[kind].new_topic(partitions[kind]) for kind in partitions}
    runs = {}
    with ExitStack() as all_runs:
        for kind, entrance in entrances.items():
            chaos = entrance.pulsar.chaos
            chaos.delay(100)  # --max-pending bounds the rate: at most 250,000 a second
            load = entrance.loading(tmp_path / kind, topics[kind], n)
            runs[kind] = all_runs.enter_context(load)
            entrance.wait_for_load(runs[kind])
            chaos.stall()  # it must not end before the other one has come as far
        for entrance in entrances.values():
            entrance.pulsar.chaos.delay(100)
        broker = entrances["plain"].pulsar
        broker.kill()
        broker.start()
        reports = {kind: run.completed() for kind, run in runs.items()}
    for kind, entrance in entrances.items():
        entrance.pulsar.chaos.heal()
        assert_was_hit(reports[kind], partitions[kind], 1)
        entrance.verify(runs[kind], topics[kind], n)
