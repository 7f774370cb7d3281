"""The whole thing in one command: a broker, a run, the proof, and nothing left behind.

Promise: what is shown is real: a real broker, real messages, read back and compared. The broker and
its data are gone at the end, however it comes. It must not print: it is told where news goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iot_producer.errors import ExitCode
from iot_producer.fleet import FleetSpec
from iot_producer.report import RunReport
from iot_producer.run_config import RunConfig
from iot_producer.stack import Progress, StackConfig, StackStatus, down, start
from iot_producer.stack.interrupts import held_signals
from iot_producer.supervisor import Outcome, run_load
from iot_producer.verify import VerifyReport, run_verify
from iot_producer.view import View
from iot_producer.worker_process import warm_up

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoParts:
    """What the command line puts together for a demo.

    Attributes:
        stack: the broker's settings.
        fleet: whose kernels are compiled while the broker starts.
        config_for: the run's settings, once the broker's address is known.
        view_for: what shows the run.
        say: takes a line of news.
        progress: takes the download's progress.
        show_run: called with the report of the run.
        show_proof: called with the result of the verification.
    """

    stack: StackConfig
    fleet: FleetSpec
    config_for: Callable[[StackStatus], RunConfig]
    view_for: Callable[[RunConfig], View]
    say: Say
    progress: Progress
    show_run: Callable[[RunReport], None]
    show_proof: Callable[[VerifyReport], None]


def run_demo(parts: DemoParts) -> ExitCode:
    """Broker up, run, verify, broker down; returns what the process says.

    Raises:
        IotProducerError: the broker could not be fetched or started, or the run never began.
    """
    try:
        parts.say("1/4  starting a real Apache Pulsar on this machine")
        with start(parts.stack, parts.say, parts.progress) as broker:
            parts.say("     compiling the generator meanwhile (once; then it is cached)")
            warm_up(parts.fleet)
            status = broker.wait_ready()
        config = parts.config_for(status)
        parts.say(f"2/4  producing to {config.destination}")
        outcome = run_load(config, parts.view_for(config))
        return _prove(parts, config, outcome)
    finally:
        with held_signals():
            parts.say("4/4  taking the broker down and deleting its data")
            down(parts.stack, purge=True)


def _prove(parts: DemoParts, config: RunConfig, outcome: Outcome) -> ExitCode:
    if outcome.report is not None:
        parts.show_run(outcome.report)
    if outcome.error is not None:
        raise outcome.error
    if outcome.report is None or outcome.exit_code is ExitCode.INTERRUPTED:
        return outcome.exit_code
    parts.say("3/4  reading the topic back, recomputing every record, comparing each byte")
    proof = run_verify(outcome.report, config.destination.url, config.destination.topic)
    parts.show_proof(proof)
    return outcome.exit_code if proof.ok else ExitCode.FAILED
