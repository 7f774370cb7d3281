"""What the fault tests share: a broker behind a chaos proxy, runs of the program, and the proof.

All runs are the real command in processes of its own. The broker deduplicates, and topics are
partitioned or not as each test says. `verify` reads the topic directly from the broker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from program import Running, balanced, run, running

from chaos_proxy import ChaosProxy
from iot_producer.blocks import DATA_VERSION
from iot_producer.clock import SystemClock
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.report import RunReport
from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up
from iot_producer.stack.ports import LOOPBACK, choose

RATE = 2_000
POOL = ("--devices", "500", "--customers", "50", "--sites", "10")
CLOCK = SystemClock()
_VERIFY_S = 180.0  # the first one compiles
_numbers = count()


def new_topic(namespace: str = "public/default") -> str:
    """A topic that no other test has."""
    return f"persistent://{namespace}/fault-{os.getpid()}-{next(_numbers)}"


def pause(seconds: float) -> None:
    """Let a fault last, or a run go on."""
    CLOCK.sleep_until(CLOCK.now_ns() + round(seconds * 1e9))


def patient_admin(status: StackStatus) -> PulsarAdmin:
    """The admin API of a broker that may have just come up, on a machine with other work."""
    return PulsarAdmin(status.admin_url, timeout_s=60.0)


@dataclass(frozen=True, slots=True)
class FaultyPulsar:
    """A broker that deduplicates, which may be harmed, and the proxy through which runs reach it.

    Attributes:
        config: of the broker.
        status: where it is; its addresses stay the same when it is started again.
        chaos: the proxy; look-ups that go through it lead through it again.
    """

    config: StackConfig
    status: StackStatus
    chaos: ChaosProxy

    @property
    def url(self) -> str:
        """The broker, through the proxy."""
        return f"pulsar://{LOOPBACK}:{self.chaos.port}"

    @property
    def direct_url(self) -> str:
        """The broker itself."""
        return self.status.pulsar_url

    @property
    def admin(self) -> PulsarAdmin:
        """Its admin API."""
        return patient_admin(self.status)

    def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        pid = up(self.config).pid
        assert pid is not None
        victim = psutil.Process(pid)
        victim.kill()
        victim.wait(10.0)

    def stop(self) -> None:
        """End it as its user does."""
        down(self.config)

    def start(self) -> None:
        """Start it again; returns when it is up, under the same addresses."""
        again = up(self.config)
        assert (again.pulsar_url, again.admin_url) == (
            self.status.pulsar_url,
            self.status.admin_url,
        )


@contextmanager
def faulty_pulsar(folder: Path, **extra: str) -> Iterator[FaultyPulsar]:
    """Start a broker and the proxy before it.

    The broker has a second listener, whose advertised address is the proxy's: who comes through the
    proxy is led through it again, and who comes directly (verify, the broker itself) is not.

    Args:
        folder: for the broker's data.
        extra: more settings of the broker.
    """
    behind = choose("the listener behind the proxy", None)
    port = choose("the broker", None, taken=[behind])
    with ChaosProxy((LOOPBACK, behind)) as chaos:
        config = StackConfig(
            state_dir=folder,
            cache_dir=default_cache_dir(os.environ),
            broker_port=port,
            deduplication=True,
            extra={
                "bindAddresses": f"chaos:pulsar://{LOOPBACK}:{behind}",
                "advertisedListeners": f"direct:pulsar://{LOOPBACK}:{port},"
                f"chaos:pulsar://{LOOPBACK}:{chaos.port}",
                "internalListenerName": "direct",
                **extra,
            },
        )
        try:
            yield FaultyPulsar(config, up(config), chaos)
        finally:
            down(config, purge=True)


def deduplicating_namespace(admin: PulsarAdmin) -> str:
    """A new namespace that deduplicates and keeps everything, on a broker that others use too."""
    name = f"public/faults-{os.getpid()}-{next(_numbers)}"
    admin.call("PUT", f"/admin/v2/namespaces/{name}", {})
    admin.set_deduplication(name, True)
    admin.set_retention(name, -1, -1)
    return name


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the program.

    Attributes:
        program: its processes.
        report_file: where it writes its report.
    """

    program: Running
    report_file: Path

    @property
    def report(self) -> RunReport:
        """Its report, once it has ended; its tally balances."""
        report = RunReport.from_json(self.report_file.read_text(), DATA_VERSION)
        assert balanced(report.tally.to_dict())
        return report

    def wait_for_sent(self, n: int) -> dict[str, Any]:
        """Until it has sent so many messages; the log line that says so."""
        return self.program.wait_for(lambda e: e["event"] == "stats" and e["sent"] >= n)

    def wait_for_confirmed(self, n: int) -> dict[str, Any]:
        """Until so many messages are confirmed; the log line that says so."""
        return self.program.wait_for(lambda e: e["event"] == "stats" and e["confirmed"] >= n)

    def wait_for_news(self, words: str) -> str:
        """Until it says a sentence with these words; the sentence."""
        event = self.program.wait_for(lambda e: words in e.get("message", ""))
        return str(event["message"])

    def signal(self, number: signal.Signals) -> None:
        """To all of its processes."""
        os.killpg(self.program.process.pid, number)

    def kill(self) -> None:
        """SIGKILL to all of its processes; returns when they are gone."""
        mine = [psutil.Process(self.program.process.pid)]
        mine += mine[0].children(recursive=True)
        for process in mine:
            process.kill()
        psutil.wait_procs(mine, timeout=10.0)

    def ended(self, code: int) -> RunReport:
        """Wait for its end, which must be of this exit code and without a stack trace."""
        found = self.program.end()
        said = self.program.stderr()
        assert found == code, said
        assert "Traceback" not in said
        return self.report

    def completed(self) -> RunReport:
        """Wait for its end, at which all that was due must be confirmed."""
        report = self.ended(0)
        assert report.is_complete
        return report


@contextmanager
def producing(
    folder: Path,
    url: str,
    topic: str,
    *options: str,
    messages: int | None = 10_000,
    rate: int | str = RATE,
    stdout: Any = subprocess.PIPE,
    **env: str,
) -> Iterator[Run]:
    """Start a run at a constant rate, or as fast as it can.

    Args:
        folder: an own one for each run; made if need be.
        url, topic: where to.
        options: more of them.
        messages: how many it is to send; None: until it is stopped.
        rate: messages a second, or ``max``.
        stdout: where its log goes; a pipe is read by what waits for its words.
        env: more environment variables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.json"
    end = () if messages is None else ("--messages", str(messages))
    with running(
        folder, "run", *POOL, "--rate", str(rate), *end, "--report", str(report),
        "--give-up-after", "90s", "--drain-timeout", "60s", "--log-format", "json",
        "--stats-interval", "100ms", *options,
        stdout=stdout, PULSAR_URL=url, PULSAR_TOPIC=topic, **env,
    ) as program:  # fmt: skip
        yield Run(program, report)


def verified(url: str, topic: str, *reports: Path, **env: str) -> dict[str, Any]:
    """What ``verify`` finds on a topic.

    Args:
        url: of the broker.
        topic: which.
        reports: of the runs; none: all runs, by what they left beside the topic.
        env: more environment variables.
    """
    options = [word for report in reports for word in ("--report", str(report))]
    done = run(
        "verify", "--from", "pulsar", "--json", *options,
        patience_s=_VERIFY_S, PULSAR_URL=url, PULSAR_TOPIC=topic, **env,
    )  # fmt: skip
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["ok"] else 1), done.stderr
    return found


def assert_exactly_once(found: Mapping[str, Any], n: int) -> None:
    """Each of n confirmed messages is there once, unchanged and in order, and nothing else is."""
    assert found["ok"], found
    assert found["totals"] == {
        **dict.fromkeys(found["totals"], 0),
        "expected": n,
        "found": n,
    }
    assert (found["n_read"], found["n_foreign"]) == (n, 0)
