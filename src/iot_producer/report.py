"""The result of a run, as a JSON file from which everything about it can be recomputed.

Promise: the report holds the plan, and for each lane which messages met which fate; what is read
back is what was written, or ``ReportError`` says what is wrong with the file: damaged, cut off,
from elsewhere, of another version, or sums that do not add up.

This module must not know files, clocks or the machine: all of it is passed in. The snapshots of a
running load are in snapshot.py, and exported here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from iot_producer.errors import ReportError
from iot_producer.gap import STORED_BEFORE, Gap
from iot_producer.lane_report import LaneReport
from iot_producer.latency import Histogram, Latencies
from iot_producer.outcome import TallySnapshot
from iot_producer.report_text import (
    INTACT_HINT,
    checksum_of,
    parsed,
    plain,
    rendered,
    taken,
    text_or_none,
)
from iot_producer.sink_counters import SinkCounters
from iot_producer.snapshot import Interval, Snapshot

__all__ = [
    "FORMAT_VERSION",
    "Gap",
    "Interval",
    "LaneReport",
    "RunReport",
    "Snapshot",
    "iso_time",
    "without_secrets",
]

FORMAT_VERSION: Final = 2
"""1 had no claimed lanes: ``lane``, ``offset``, ``gap`` and ``earlier`` are missing there."""
_READABLE: Final = (1, FORMAT_VERSION)
KIND: Final = "iot-producer run report"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECRET_WORDS = ("password", "passwd", "token", "secret", "key", "auth", "credential")


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run was to do, and did.

    Args:
        data_version: of the records (blocks.DATA_VERSION).
        tool_version: of this program.
        machine: platform, CPU model, number of CPUs; anything fit for JSON.
        config: every setting and where it came from; fit for JSON, without secrets.
        fleet, schedule: the specs of the plan.
        start_ns: the plan's start, nanoseconds since the epoch.
        n_lanes: lanes of the whole plan; this run may have produced some of them.
        lanes: what each lane of this run did.
        started_at, ended_at: ISO 8601, UTC (``iso_time``).
        stop_reason: why it ended, in a few words.
        destination: its URL; passwords and tokens are taken out.
        n_warm_up: messages of the start that are left out of the histograms.
        raw_bytes: bytes of all records handed to the destination, uncompressed.
        error: what ended the run early; None: nothing did.
        lane: number of the lane that was claimed from the broker; None: none was claimed.
        offset: place in the cycle of the devices where the plan's message 0 is.
        gap: what lies between the lane's last stored message and this run; None: nothing is known
            of a run before it.
        earlier: the run's episodes before this one, in order. Each ended when its lane was lost to
            another pod; each is of a plan of its own, and has no earlier ones.

    Raises:
        ValueError: a lane is listed twice or is none of the plan.
    """

    data_version: int
    tool_version: str
    machine: Mapping[str, object]
    config: Mapping[str, object]
    fleet: Mapping[str, object]
    schedule: Mapping[str, object]
    start_ns: int
    n_lanes: int
    lanes: Sequence[LaneReport]
    started_at: str
    ended_at: str
    stop_reason: str
    destination: str
    n_warm_up: int = 0
    raw_bytes: int = 0
    error: str | None = None
    lane: int | None = None
    offset: int = 0
    gap: Gap | None = None
    earlier: Sequence[RunReport] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "destination", without_secrets(self.destination))
        object.__setattr__(self, "lanes", tuple(sorted(self.lanes, key=lambda lane: lane.index)))
        indexes = [lane.index for lane in self.lanes]
        if len(set(indexes)) != len(indexes) or any(not 0 <= i < self.n_lanes for i in indexes):
            raise ValueError(f"lanes {indexes} are not lanes of {self.n_lanes}")
        for moment in (self.started_at, self.ended_at):
            datetime.fromisoformat(moment)
        object.__setattr__(self, "earlier", tuple(self.earlier))
        if any(report.earlier for report in self.earlier):
            raise ValueError("an earlier episode has earlier episodes")
        if self.offset < 0:
            raise ValueError(f"a plan cannot begin at place {self.offset} of the devices")

    @property
    def episodes(self) -> tuple[RunReport, ...]:
        """All episodes of the run by themselves, in order; most runs have one."""
        return (*self.earlier, replace(self, earlier=()))

    @property
    def tally(self) -> TallySnapshot:
        """The counts of all lanes of all episodes."""
        return TallySnapshot.merge(lane.tally for lane in self._all_lanes)

    @property
    def latencies(self) -> Latencies:
        """The histograms of all lanes of all episodes."""
        return Latencies.merge(lane.latencies for lane in self._all_lanes)

    @property
    def total_raw_bytes(self) -> int:
        """Bytes of all records of all episodes."""
        return self.raw_bytes + sum(report.raw_bytes for report in self.earlier)

    @property
    def sink(self) -> SinkCounters:
        """What the sinks of all lanes of all episodes counted."""
        return SinkCounters.merge(lane.sink for lane in self._all_lanes)

    @property
    def n_stored_before(self) -> int:
        """Messages that were not sent since they were stored already, by the lane's last run."""
        reasons = (lane.ranges.not_sent_reasons for lane in self._all_lanes)
        return sum(table.get(STORED_BEFORE, 0) for table in reasons)

    @property
    def is_complete(self) -> bool:
        """Whether all that was due is confirmed, or was stored before."""
        tally = self.tally
        return tally.confirmed + self.n_stored_before == tally.scheduled

    @property
    def _all_lanes(self) -> list[LaneReport]:
        return [lane for report in (*self.earlier, self) for lane in report.lanes]

    def to_json(self) -> str:
        """The report as JSON text: an object of one line a member, ranges and blocks on one line.

        ``summary``, ``sink`` and ``checksum`` are derived; a reader recomputes them.
        """
        body = {
            "kind": KIND,
            "format_version": FORMAT_VERSION,
            **self._to_body(),
            "earlier": [report._to_body() for report in self.earlier],
        }
        return rendered({**body, "checksum": checksum_of(body)}, "") + "\n"

    def _to_body(self) -> dict[str, object]:
        latencies = self.latencies
        return {
            "data_version": self.data_version,
            "tool_version": self.tool_version,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "stop_reason": self.stop_reason,
            "error": self.error,
            "destination": self.destination,
            "tally": self.tally.to_dict(),
            "raw_bytes": self.raw_bytes,
            "n_warm_up": self.n_warm_up,
            "sink": self.sink.to_dict(),
            "summary": {
                "lag": _summary(latencies.lag),
                "service": _summary(latencies.service),
                "response": _summary(latencies.response),
            },
            "plan": {
                "fleet": plain(self.fleet),
                "schedule": plain(self.schedule),
                "start_ns": self.start_ns,
                "n_lanes": self.n_lanes,
                "lane": self.lane,
                "offset": self.offset,
            },
            "gap": None if self.gap is None else self.gap.to_dict(),
            "config": plain(self.config),
            "machine": plain(self.machine),
            "lanes": [lane.to_dict() for lane in self.lanes],
        }

    @classmethod
    def from_json(cls, text: str, data_version: int | None = None) -> RunReport:
        """Read a report.

        Args:
            text: what ``to_json`` gave.
            data_version: of the records that this program makes; None: any will do.

        Raises:
            ReportError: it is no report, is damaged, or is of another version.
        """
        body = parsed(text)
        if body.get("kind") != KIND:
            raise ReportError("the file is not a run report of iot-producer", INTACT_HINT)
        found = body.get("format_version")
        if found not in _READABLE:
            raise ReportError(
                f"the report has format {found!r}, this program reads up to {FORMAT_VERSION}",
                f"Use the version of iot-producer that wrote it: {body.get('tool_version')}.",
            )
        checksum = body.pop("checksum", None)
        if checksum != checksum_of(body):
            raise ReportError(
                "the report was changed or damaged: its checksum does not match", INTACT_HINT
            )
        found = body.get("data_version")
        if data_version is not None and found != data_version:
            raise ReportError(
                f"the report is about records of data version {found!r}, "
                f"this program makes version {data_version}",
                f"Use the version of iot-producer that wrote it: {body.get('tool_version')}.",
            )
        try:
            earlier = body.pop("earlier", [])
            if not isinstance(earlier, list) or not all(isinstance(e, dict) for e in earlier):
                raise ValueError("the earlier episodes are not objects")
            report = cls._from_body(body, [cls._from_body(each) for each in earlier])
            if report.tally.to_dict() != body.get("tally"):
                raise ValueError("the tally of the run is not the sum of its lanes")
        except (ValueError, OverflowError) as error:
            raise ReportError(f"the report is damaged: {error}", INTACT_HINT) from error
        return report

    @classmethod
    def _from_body(cls, body: Mapping[str, object], earlier: Sequence[RunReport] = ()) -> RunReport:
        plan: dict[str, object] = taken(body, "plan", dict)
        lanes = []
        for lane in taken(body, "lanes", list):
            if not isinstance(lane, dict):
                raise ValueError("a lane is not an object")
            lanes.append(LaneReport.from_dict(lane))
        return cls(
            data_version=taken(body, "data_version", int),
            tool_version=taken(body, "tool_version", str),
            machine=taken(body, "machine", dict),
            config=taken(body, "config", dict),
            fleet=taken(plan, "fleet", dict),
            schedule=taken(plan, "schedule", dict),
            start_ns=taken(plan, "start_ns", int),
            n_lanes=taken(plan, "n_lanes", int),
            lanes=lanes,
            started_at=taken(body, "started_at", str),
            ended_at=taken(body, "ended_at", str),
            stop_reason=taken(body, "stop_reason", str),
            destination=taken(body, "destination", str),
            n_warm_up=taken(body, "n_warm_up", int),
            raw_bytes=taken(body, "raw_bytes", int),
            error=text_or_none(body, "error"),
            lane=None if plan.get("lane") is None else taken(plan, "lane", int),
            offset=taken(plan, "offset", int) if "offset" in plan else 0,
            gap=None if body.get("gap") is None else Gap.from_dict(taken(body, "gap", dict)),
            earlier=earlier,
        )


def iso_time(at_ns: int) -> str:
    """A time as ISO 8601 in UTC, to the millisecond: ``2026-11-22T16:00:00.000Z``.

    Args:
        at_ns: nanoseconds since the epoch.
    """
    moment = _EPOCH + timedelta(milliseconds=at_ns // 1_000_000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def without_secrets(url: str) -> str:
    """A URL without user, password and the values of parameters that look like secrets.

    Text that is no URL (a file name) stays as it is.
    """
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.split("://", 1)[0] + "://…"
    query = "&".join(
        f"{quote(name)}={'…' if _is_secret(name) else quote(value, safe='/:,')}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    host = parts.netloc.rpartition("@")[2]
    # Not urlunsplit: it drops the // of schemes that it does not know.
    return f"{parts.scheme}://{host}{parts.path}" + (f"?{query}" if query else "")


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


def _summary(histogram: Histogram) -> dict[str, object]:
    names = ("p50_ms", "p90_ms", "p99_ms", "p99.9_ms")
    values = histogram.percentiles_ns((50, 90, 99, 99.9))
    return {
        "n": histogram.n,
        "mean_ms": round(histogram.mean_ns / 1e6, 3),
        **{name: value / 1e6 for name, value in zip(names, values, strict=True)},
        "max_ms": histogram.max_ns / 1e6,
    }
