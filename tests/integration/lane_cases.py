"""What the tests of claimed lanes share: pods as processes, and whose message each record is."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from program import Running, run, running
from pulsar_cases import stored

from iot_producer.blocks import DATA_VERSION
from iot_producer.lane import device_offset, order_step
from iot_producer.outcome import State
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.report import RunReport
from iot_producer.stack import StackStatus

N_DEVICES = 3_000
RATE = 1_000
"""A message a millisecond: so the millisecond of a record is its number on the grid."""
MS = 1_000_000
_numbers = count()


class Town:
    """A namespace with deduplication, and a topic in it.

    Args:
        broker: where.
        directory: for the pods' reports and logs.
        n_partitions: of the topic; 0: it has none.
    """

    def __init__(self, broker: StackStatus, directory: Path, n_partitions: int = 0) -> None:
        self.url = broker.pulsar_url
        self.directory = directory
        namespace = f"public/lanes-{next(_numbers)}"
        self.admin = PulsarAdmin(broker.admin_url, timeout_s=60.0)
        self.admin.call("PUT", f"/admin/v2/namespaces/{namespace}", {})
        self.admin.set_deduplication(namespace, True)
        self.admin.set_retention(namespace, -1, -1)
        self.topic = f"persistent://{namespace}/t"
        self.admin.create_topic(self.topic, n_partitions)

    @contextmanager
    def pod(self, name: str, *flags: str) -> Iterator[Pod]:
        """A pod that runs; killed at the end, if it still does."""
        directory = self.directory / name
        directory.mkdir()
        report = directory / "report.json"
        with running(
            directory,
            "run", "--topic", self.topic, "--rate", str(RATE), "--devices", str(N_DEVICES),
            "--report", str(report), "--log-format", "json", "--stats-interval", "200ms",
            "--give-up-after", "30s", *flags,
            PULSAR_URL=self.url,
        ) as program:  # fmt: skip
            yield Pod(program, report)

    @contextmanager
    def pods(self, n: int, *flags: str) -> Iterator[list[Pod]]:
        """Several that start at the same time."""
        with ExitStack() as stack:
            names = [f"pod-{next(_numbers)}" for _ in range(n)]
            yield [stack.enter_context(self.pod(name, *flags)) for name in names]

    def messages(self) -> list[tuple[int, int]]:
        """(lane, number on the grid) of each record on the topic, in the order of partitions."""
        return [
            whose(int(key.removeprefix("dev-")), time_ms)
            for records in stored(self.url, self.topic).values()
            for _, key, _, time_ms in records
        ]

    def check_verified(self) -> None:
        """From the lanes' journals alone, ``verify`` explains every record, and misses none."""
        done = run(
            "verify", "--from", "pulsar", "--topic", self.topic, "--json", PULSAR_URL=self.url
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert found["n_foreign"] == 0
        assert found["problems"] == []
        assert found["n_read"] == len(self.messages())

    def times_of_producers(self, n_workers: int) -> list[list[int]]:
        """Event times (ms) of each worker of lane 0 on each partition, as they lie there."""
        found: dict[tuple[int, int], list[int]] = {}
        for partition, records in stored(self.url, self.topic).items():
            for _, key, _, time_ms in records:
                worker = int(key.removeprefix("dev-")) % n_workers
                found.setdefault((partition, worker), []).append(time_ms)
        return list(found.values())

    def of_lane(self, lane: int) -> list[int]:
        """The numbers on the grid of a lane's records; fails where one is there twice."""
        numbers = [number for k, number in self.messages() if k == lane]
        assert len(set(numbers)) == len(numbers)
        return sorted(numbers)


class Pod:
    """A running pod, and what it says."""

    def __init__(self, program: Running, report: Path) -> None:
        self.program = program
        self._report = report
        self.news: list[str] = []

    def wait_for_news(self, text: str) -> str:
        """The next message that contains a text."""
        for event in self.program.events():
            if event["event"] == "message":
                self.news.append(event["message"])
                if text in event["message"]:
                    return str(event["message"])
        raise AssertionError(f"never said {text!r}: {self.news} {self.program.stderr()}")

    def wait_until_confirmed(self, n: int) -> None:
        """Until so many messages are confirmed."""
        self.program.wait_for(lambda event: event["event"] == "stats" and event["confirmed"] >= n)

    def kill(self) -> None:
        """All its processes at once, as when its machine is gone, but for the sockets."""
        os.killpg(self.program.process.pid, signal.SIGKILL)
        self.program.process.wait()

    def stop(self) -> None:
        """It does nothing more, and its connections stay."""
        os.killpg(self.program.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.program.process.pid, signal.SIGCONT)

    def terminate(self) -> int:
        """SIGTERM to the parent, as Kubernetes does; its exit code."""
        self.program.process.send_signal(signal.SIGTERM)
        return self.program.end()

    def report(self) -> RunReport:
        """Of its end."""
        return RunReport.from_json(self._report.read_text(), DATA_VERSION)


def whose(device: int, time_ms: int) -> tuple[int, int]:
    """The claimed lane that sends a device in a millisecond, and the message's number on the grid.

    At one message a millisecond: from the definition, and from nothing else.
    """
    step = order_step(N_DEVICES)
    for lane in range(8):
        place = (time_ms + device_offset(lane, N_DEVICES)) % N_DEVICES
        if place * step % N_DEVICES == device:
            return lane, time_ms
    raise AssertionError(f"no lane sends device {device} at {time_ms}")


def numbers_of(report: RunReport, state: State = State.CONFIRMED) -> Counter[tuple[int, int]]:
    """(lane, number on the grid) of a report's messages of one fate; of all its episodes."""
    from iot_producer.blocks import Plan
    from iot_producer.fleet import FleetSpec
    from iot_producer.lane import LaneSpec
    from iot_producer.schedule import MaxRate, schedule_from_spec

    found: Counter[tuple[int, int]] = Counter()
    for episode in report.episodes:
        assert episode.lane is not None
        schedule = schedule_from_spec(episode.schedule)
        assert not isinstance(schedule, MaxRate)
        fleet = FleetSpec(**episode.fleet)  # type: ignore[arg-type]
        for lane in episode.lanes:
            spec = LaneSpec(lane.index, episode.n_lanes, episode.offset)
            plan = Plan(fleet, spec, schedule, episode.start_ns)
            for start, stop in getattr(lane.ranges, state.value):
                block = plan.block(start, stop - start)
                for device, time_ms in zip(
                    block.devices.tolist(), block.times_ms.tolist(), strict=True
                ):
                    whose_it_is = whose(device, time_ms)
                    assert whose_it_is == (episode.lane, time_ms)
                    found[whose_it_is] += 1
    return found
