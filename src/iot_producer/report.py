"""The result of a run, as a JSON file from which everything about it can be recomputed.

Promise: the report holds the plan, and for each lane which messages met which fate; what is read
back is what was written, or ``ReportError`` says what is wrong with the file: damaged, cut off,
from elsewhere, of another version, or sums that do not add up.

This module must not know files, clocks or the machine: all of it is passed in. The snapshots of a
running load are in snapshot.py, and exported here too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from iot_producer.errors import ReportError
from iot_producer.latency import Histogram, Latencies
from iot_producer.outcome import LaneRanges, TallySnapshot
from iot_producer.snapshot import Interval, Snapshot

__all__ = [
    "FORMAT_VERSION",
    "Interval",
    "LaneReport",
    "RunReport",
    "Snapshot",
    "iso_time",
    "without_secrets",
]

FORMAT_VERSION: Final = 1
KIND: Final = "iot-producer run report"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECRET_WORDS = ("password", "passwd", "token", "secret", "key", "auth", "credential")
_INTACT_HINT = "Use the file as the run wrote it."

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class LaneReport:
    """What one lane did.

    Args:
        index: which lane of the plan, from 0.
        tally: counts of its messages.
        ranges: which of its messages (numbered within the lane, from 0) met which fate.
        latencies: its histograms, without the warm-up.
        blocks: with rate ``max`` only, int64 of shape (n_blocks, 2): number of messages and start
            (nanoseconds since the epoch) of each block in order; None for planned times.
        error: what ended the lane early; None: nothing did.

    Raises:
        ValueError: tally, ranges and blocks do not agree.
    """

    index: int
    tally: TallySnapshot
    ranges: LaneRanges
    latencies: Latencies = field(default_factory=Latencies.empty)
    blocks: NDArray[np.int64] | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        self.ranges.check(self.tally)
        if self.blocks is not None:
            sizes, starts = self.blocks.reshape(-1, 2).T
            if (sizes < 1).any() or int(sizes.sum()) != self.tally.scheduled:
                raise ValueError(f"the blocks are not the {self.tally.scheduled} messages")
            if (starts[1:] < starts[:-1]).any():
                raise ValueError("the blocks do not start one after the other")

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {
            "index": self.index,
            "tally": self.tally.to_dict(),
            "ranges": self.ranges.to_dict(),
            "latencies": self.latencies.to_dict(),
            "blocks": None if self.blocks is None else self.blocks.tolist(),
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> LaneReport:
        """Restore what ``to_dict`` gave; ValueError when it is damaged."""
        return cls(
            _take(table, "index", int),
            TallySnapshot.from_dict(_take(table, "tally", dict)),
            LaneRanges.from_dict(_take(table, "ranges", dict)),
            Latencies.from_dict(_take(table, "latencies", dict)),
            None if table.get("blocks") is None else _blocks_of(_take(table, "blocks", list)),
            _text_or_none(table, "error"),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LaneReport):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "destination", without_secrets(self.destination))
        object.__setattr__(self, "lanes", tuple(sorted(self.lanes, key=lambda lane: lane.index)))
        indexes = [lane.index for lane in self.lanes]
        if len(set(indexes)) != len(indexes) or any(not 0 <= i < self.n_lanes for i in indexes):
            raise ValueError(f"lanes {indexes} are not lanes of {self.n_lanes}")
        for moment in (self.started_at, self.ended_at):
            datetime.fromisoformat(moment)

    @property
    def tally(self) -> TallySnapshot:
        """The counts of all its lanes."""
        return TallySnapshot.merge(lane.tally for lane in self.lanes)

    @property
    def latencies(self) -> Latencies:
        """The histograms of all its lanes."""
        return Latencies.merge(lane.latencies for lane in self.lanes)

    def to_json(self) -> str:
        """The report as JSON text: an object of one line a member, ranges and blocks on one line.

        ``summary`` and ``checksum`` are derived; a reader recomputes them.
        """
        latencies = self.latencies
        body = {
            "kind": KIND,
            "format_version": FORMAT_VERSION,
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
            "summary": {
                "lag": _summary(latencies.lag),
                "service": _summary(latencies.service),
                "response": _summary(latencies.response),
            },
            "plan": {
                "fleet": _plain(self.fleet),
                "schedule": _plain(self.schedule),
                "start_ns": self.start_ns,
                "n_lanes": self.n_lanes,
            },
            "config": _plain(self.config),
            "machine": _plain(self.machine),
            "lanes": [lane.to_dict() for lane in self.lanes],
        }
        return _render({**body, "checksum": _checksum(body)}, "") + "\n"

    @classmethod
    def from_json(cls, text: str, data_version: int | None = None) -> RunReport:
        """Read a report.

        Args:
            text: what ``to_json`` gave.
            data_version: of the records that this program makes; None: any will do.

        Raises:
            ReportError: it is no report, is damaged, or is of another version.
        """
        body = _parsed(text)
        if body.get("kind") != KIND:
            raise ReportError("the file is not a run report of iot-producer", _INTACT_HINT)
        found = body.get("format_version")
        if found != FORMAT_VERSION:
            raise ReportError(
                f"the report has format {found!r}, this program reads format {FORMAT_VERSION}",
                f"Use the version of iot-producer that wrote it: {body.get('tool_version')}.",
            )
        checksum = body.pop("checksum", None)
        if checksum != _checksum(body):
            raise ReportError(
                "the report was changed or damaged: its checksum does not match", _INTACT_HINT
            )
        found = body.get("data_version")
        if data_version is not None and found != data_version:
            raise ReportError(
                f"the report is about records of data version {found!r}, "
                f"this program makes version {data_version}",
                f"Use the version of iot-producer that wrote it: {body.get('tool_version')}.",
            )
        try:
            report = cls._from_body(body)
            if report.tally.to_dict() != body.get("tally"):
                raise ValueError("the tally of the run is not the sum of its lanes")
        except (ValueError, OverflowError) as error:
            raise ReportError(f"the report is damaged: {error}", _INTACT_HINT) from error
        return report

    @classmethod
    def _from_body(cls, body: Mapping[str, object]) -> RunReport:
        plan: dict[str, object] = _take(body, "plan", dict)
        lanes = []
        for lane in _take(body, "lanes", list):
            if not isinstance(lane, dict):
                raise ValueError("a lane is not an object")
            lanes.append(LaneReport.from_dict(lane))
        return cls(
            data_version=_take(body, "data_version", int),
            tool_version=_take(body, "tool_version", str),
            machine=_take(body, "machine", dict),
            config=_take(body, "config", dict),
            fleet=_take(plan, "fleet", dict),
            schedule=_take(plan, "schedule", dict),
            start_ns=_take(plan, "start_ns", int),
            n_lanes=_take(plan, "n_lanes", int),
            lanes=lanes,
            started_at=_take(body, "started_at", str),
            ended_at=_take(body, "ended_at", str),
            stop_reason=_take(body, "stop_reason", str),
            destination=_take(body, "destination", str),
            n_warm_up=_take(body, "n_warm_up", int),
            raw_bytes=_take(body, "raw_bytes", int),
            error=_text_or_none(body, "error"),
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


def _render(value: object, indent: str) -> str:
    """JSON with a line a member, so people can read it, and lists of numbers on one line."""
    deeper = indent + "  "
    if isinstance(value, Mapping) and value:
        members = (f"{deeper}{json.dumps(k)}: {_render(v, deeper)}" for k, v in value.items())
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        items = (f"{deeper}{_render(item, deeper)}" for item in value)
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _plain(table: Mapping[str, object]) -> object:
    """As JSON gives it back, so that writer and reader see the same and agree on the checksum."""
    return json.loads(json.dumps(dict(table), allow_nan=False))


def _checksum(body: Mapping[str, object]) -> str:
    text = json.dumps(body, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _parsed(text: str) -> dict[str, object]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = "is empty" if not text.strip() else "is no JSON: it is damaged or cut off"
        raise ReportError(f"the report {problem} ({error})", _INTACT_HINT) from error
    if not isinstance(body, dict):
        raise ReportError("the file is not a run report of iot-producer", _INTACT_HINT)
    return body


def _take(table: Mapping[str, object], key: str, kind: type[T]) -> T:
    value = table.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key!r} is missing or not of type {kind.__name__}")
    return value


def _text_or_none(table: Mapping[str, object], key: str) -> str | None:
    return None if table.get(key) is None else _take(table, key, str)


def _blocks_of(listed: list[object]) -> NDArray[np.int64]:
    if not listed:
        return np.empty((0, 2), np.int64)
    try:
        # Without a dtype numpy keeps what it found: floats or objects give the damage away.
        blocks = np.array(listed)
    except ValueError as error:
        raise ValueError("the blocks are not pairs of numbers") from error
    if blocks.dtype != np.int64 or blocks.ndim != 2 or blocks.shape[1] != 2:
        raise ValueError("the blocks are not pairs of numbers")
    return blocks
