"""The result of a verification: counts by minute, what was lost, the first few offenders.

Promise: frozen; in each minute expected = found + lost, and the totals are the sums of the minutes.
It must not know how they were found out, or how they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

from iot_producer.report import iso_time

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Counts:
    """Records, by what became of them. Counts of parts add up.

    Attributes:
        expected: confirmed by the destination, says the run's report.
        found: of the expected ones, those that are there.
        lost: of the expected ones, those that are not.
        duplicated: copies beyond the first.
        changed: records, and copies, whose bytes, key, properties or event time differ.
        out_of_order: found after a later record of the same device.
        unconfirmed_found: sent without a confirmation, and there all the same: no difference.
        unexpected: there, though the report says that they failed or were never sent.
        unreported: there, and of a lane whose report does not reach so far: it published for the
            last time before it sent them, or it was resumed after them: no difference.
    """

    expected: int = 0
    found: int = 0
    lost: int = 0
    duplicated: int = 0
    changed: int = 0
    out_of_order: int = 0
    unconfirmed_found: int = 0
    unexpected: int = 0
    unreported: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, duplicated, changed, out of order or unexpected."""
        return not (
            self.lost or self.duplicated or self.changed or self.out_of_order or self.unexpected
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Minute:
    """The records intended for one minute.

    Attributes:
        start_ms: its beginning, ms since the epoch.
        counts: what became of them.
    """

    start_ms: int
    counts: Counts


class Fault(StrEnum):
    """What is wrong with a record."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    CHANGED = "changed"
    OUT_OF_ORDER = "out of order"
    UNEXPECTED = "unexpected"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a record that is not what it must be.

    Attributes:
        field: its name; ``key``, ``event time``, ``properties`` or ``text`` for what is no field.
        expected, found: as they are written; ``found`` is cut when long.
    """

    field: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Offender:
    """A record with something wrong.

    Attributes:
        fault: what is wrong.
        device_id, time: its identity, as text; of a foreign record as far as it can be read.
        lane, message: its number in the plan; None for a foreign record.
        partition, position: where it lies: the position counts the records of the partition as
            they were read, from 0; None for a lost one.
        differences: field by field, for a changed one.
        note: anything else that helps.
        run: what its run is called, where there are several: a report's file, a lane.
    """

    fault: Fault
    device_id: str
    time: str
    lane: int | None = None
    message: int | None = None
    partition: int | None = None
    position: int | None = None
    differences: tuple[Difference, ...] = ()
    note: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class LostRange:
    """Messages ``first … stop − 1`` of a lane, all lost; ``run`` as in Offender."""

    lane: int
    first: int
    stop: int
    run: str = ""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found.

    Attributes:
        source: what was read.
        minutes: by intended time, those in which something was expected or found.
        totals: their sums.
        n_read: records read.
        n_foreign: of them, those that no plan explains: not of this run.
        n_unreadable: of the foreign ones, those without a readable identity.
        n_outside: of those read, how many were left out since they are of another time.
        n_unconfirmed: how many unconfirmed records could have been there.
        n_runs: runs, or claims of lanes, whose reports were compared with.
        n_lanes, n_lanes_of_plan: lanes that the reports cover, and that their plans have.
        lost_ranges: the first lost messages as ranges.
        n_lost_ranges: how many ranges there are in all.
        offenders: the first few of each fault.
        seconds: how long it took.
        problems: reports that could not be read: what they speak of is not verified.
    """

    source: str
    minutes: tuple[Minute, ...]
    totals: Counts
    n_read: int
    n_foreign: int = 0
    n_unreadable: int = 0
    n_outside: int = 0
    n_unconfirmed: int = 0
    n_runs: int = 1
    n_lanes: int = 1
    n_lanes_of_plan: int = 1
    lost_ranges: tuple[LostRange, ...] = ()
    n_lost_ranges: int = 0
    offenders: tuple[Offender, ...] = ()
    seconds: float = 0.0
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything that must be there is there once, unchanged and in order."""
        return self.totals.ok and not self.problems

    @property
    def per_s(self) -> float:
        """Records read and compared, a second."""
        return self.n_read / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {
            "kind": "iot-producer verify report",
            "ok": self.ok,
            "source": self.source,
            "n_read": self.n_read,
            "n_foreign": self.n_foreign,
            "n_unreadable": self.n_unreadable,
            "n_outside": self.n_outside,
            "n_unconfirmed": self.n_unconfirmed,
            "n_runs": self.n_runs,
            "n_lanes": self.n_lanes,
            "n_lanes_of_plan": self.n_lanes_of_plan,
            "seconds": round(self.seconds, 3),
            "records_per_s": round(self.per_s, 1),
            "totals": asdict(self.totals),
            "minutes": [
                {"minute": iso_time(minute.start_ms * NS_PER_MS), **asdict(minute.counts)}
                for minute in self.minutes
            ],
            "problems": list(self.problems),
            "lost_ranges": [[part.lane, part.first, part.stop] for part in self.lost_ranges],
            "lost_ranges_of": [part.run for part in self.lost_ranges] if self.n_runs > 1 else [],
            "n_lost_ranges": self.n_lost_ranges,
            "offenders": [_plain(offender) for offender in self.offenders],
        }


def _plain(offender: Offender) -> Mapping[str, object]:
    table = asdict(offender)
    table["fault"] = offender.fault.value
    return {name: value for name, value in table.items() if value not in (None, "", ())}
