"""What is known of a run when it is verified: its report, and what it may have sent beyond that.

Promise: a value without logic, the seam between those who know of runs (report files, the runs
topic) and the comparison. It must not know where it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from iot_producer.report import RunReport


@dataclass(frozen=True, slots=True, eq=False)
class KnownRun:
    """One run, or one lane of it.

    Attributes:
        report: its plan, and which messages met which fate.
        name: what people call it: a file, a lane; empty where there is only one.
        lane: the name of its producer on the topic, where it is known: runs of one lane come one
            after the other, and so do their records.
        open_until_ns: its lanes may have sent more than the report says, intended up to then (ns
            since the epoch); 0: the report says it all.
    """

    report: RunReport
    name: str = ""
    lane: str = ""
    open_until_ns: int = 0


Runs = RunReport | Sequence[KnownRun]
"""What is verified: the report of one run, or what is known of several."""


def known_runs_of(runs: Runs) -> list[KnownRun]:
    """Each episode of each run by itself; only the last of a run's may have sent more."""
    listed = [KnownRun(runs)] if isinstance(runs, RunReport) else list(runs)
    episodes = []
    for run in listed:
        *earlier, last = run.report.episodes
        episodes += [replace(run, report=report, open_until_ns=0) for report in earlier]
        episodes.append(replace(run, report=last))
    return episodes
