"""A run as log lines: one every interval, for people or for machines; or only what went wrong.

Promise: one line is one event, whatever is in it; the JSON form has keys that stay as they are
(docs/reference), numbers with units in their names, and times in UTC. It must not know terminals,
nor read a clock: time is that of the snapshots, or of the function that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json import dumps
from typing import Final

from iot_producer import figures
from iot_producer.latency import Histogram, Latencies
from iot_producer.report import RunReport, iso_time
from iot_producer.sink_counters import SinkCounters
from iot_producer.snapshot import Interval, Snapshot

_PERCENTS: Final = (50.0, 99.0)
_LATE_NS: Final = 1_000_000_000
"""From this lag on a line is a warning."""


class LogView:
    """A line every interval, and the news; see view.View.

    Args:
        write: takes a line, without a newline at its end.
        json: whether lines are JSON objects.
        interval_ns: time between two lines about the state of the run.
        now_ns: the time, ns since the epoch, for news; None: that of the last snapshot, so that
            news before the first one has none.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        json: bool,
        interval_ns: int,
        now_ns: Callable[[], int] | None = None,
    ) -> None:
        self._lines = _Lines(write, json, now_ns)
        self._json = json
        self._interval_ns = interval_ns
        self._last_line: Snapshot | None = None
        self._latest: Snapshot | None = None
        self._due_ns = 0

    def say(self, level: str, text: str) -> None:
        """News, as a line."""
        self._lines.say(level, text)

    def beat(self) -> None:
        """Nothing to tell."""

    def draw(self, snapshot: Snapshot) -> None:
        """A line, if one is due: the first an interval after the first snapshot."""
        self._lines.at_ns = snapshot.at_ns
        self._latest = snapshot
        if self._last_line is None:
            self._last_line = snapshot
            self._due_ns = snapshot.at_ns + self._interval_ns
        elif snapshot.at_ns >= self._due_ns:
            n_missed = (snapshot.at_ns - self._due_ns) // self._interval_ns
            self._due_ns += (n_missed + 1) * self._interval_ns
            self._line(snapshot)

    def close(self, report: RunReport | None) -> None:
        """A line about what came after the last one; as JSON, one about the whole run too."""
        latest, last = self._latest, self._last_line
        if latest is not None and last is not None and latest.at_ns > last.at_ns:
            self._line(latest)
        self._latest = None
        if report is not None and self._json:
            self._lines.event(report.ended_at, _level_of(report), "end", _end_fields(report))

    def _line(self, snapshot: Snapshot) -> None:
        assert self._last_line is not None
        interval = _between(snapshot, self._last_line)
        self._last_line = snapshot
        if interval is None:
            return
        is_late = snapshot.lag_now_ns >= _LATE_NS
        is_bad = interval.n_failed > 0 or interval.n_skipped > 0 or is_late
        level = "warning" if is_bad else "info"
        at = iso_time(snapshot.at_ns)
        if self._json:
            self._lines.event(at, level, "stats", _stats_fields(snapshot, interval))
        else:
            self._lines.text(at, level, _stats_text(snapshot, interval))


class QuietView:
    """Only warnings and errors, and a run that did not end well; see view.View.

    Args:
        write: takes a line, without a newline at its end.
        json: whether lines are JSON objects.
        now_ns: the time, ns since the epoch; None: that of the last snapshot.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        json: bool = False,
        now_ns: Callable[[], int] | None = None,
    ) -> None:
        self._lines = _Lines(write, json, now_ns)

    def say(self, level: str, text: str) -> None:
        """News, if it is bad."""
        if level != "info":
            self._lines.say(level, text)

    def beat(self) -> None:
        """Nothing to tell."""

    def draw(self, snapshot: Snapshot) -> None:
        """Nothing is shown."""
        self._lines.at_ns = snapshot.at_ns

    def close(self, report: RunReport | None) -> None:
        """One line, if anything that was due is not confirmed."""
        if report is None or report.is_complete:
            return
        tally = report.tally
        n = tally.scheduled - tally.confirmed - report.n_stored_before
        self._lines.say(
            "error",
            f"{n:,} of {figures.plural(tally.scheduled, 'message')} not confirmed: "
            f"{tally.failed:,} failed, {tally.unconfirmed:,} unconfirmed, "
            f"{tally.not_sent:,} not sent",
        )


def event_keys() -> dict[str, tuple[str, ...]]:
    """The keys of the JSON form by event, for the reference."""
    common = ("time", "level", "event")
    empty = Snapshot(0)
    report = RunReport(0, "", {}, {}, {}, {}, 0, 1, [], iso_time(0), iso_time(0), "", "null:")
    return {
        "stats": (*common, *_stats_fields(empty, empty.since(empty))),
        "message": (*common, "message"),
        "end": (*common, *_end_fields(report)),
    }


class _Lines:
    """Writes lines in one of two forms."""

    def __init__(
        self, write: Callable[[str], None], json: bool, now_ns: Callable[[], int] | None
    ) -> None:
        self._write = write
        self._json = json
        self._now_ns = now_ns
        self.at_ns: int | None = None

    def say(self, level: str, text: str) -> None:
        at_ns = self._now_ns() if self._now_ns is not None else self.at_ns
        at = None if at_ns is None else iso_time(at_ns)
        if self._json:
            self.event(at, level, "message", {"message": text})
        else:
            self.text(at, level, figures.one_line(text))

    def event(self, at: str | None, level: str, event: str, fields: Mapping[str, object]) -> None:
        body = {"time": at, "level": level, "event": event, **fields}
        self._write(dumps(body, ensure_ascii=False, allow_nan=False))

    def text(self, at: str | None, level: str, text: str) -> None:
        # 2026-11-22T12:00:10.000Z: the day is in the JSON form.
        time = "" if at is None else f"{at[11:19]}Z "
        label = "" if level == "info" else f"{level}: "
        self._write(f"{time}{label}{text}")


def _between(later: Snapshot, earlier: Snapshot) -> Interval | None:
    """None when they are not of the same lanes: the next line will tell."""
    if later.n_lanes != earlier.n_lanes:
        return None
    try:
        return later.since(earlier)
    except ValueError:
        return None


def _stats_text(snapshot: Snapshot, interval: Interval) -> str:
    target = snapshot.target_per_s
    goal = f" (target {figures.rate(target)})" if target else ""
    tally = snapshot.tally
    lag, response = interval.latencies.lag, interval.latencies.response
    parts = [f"{figures.rate(interval.confirmed_per_s)} msg/s confirmed{goal}"]
    if lag.n:
        parts.append(f"lag p99 {figures.latency(lag.percentile_ns(99))}")
    else:
        parts.append(f"lag now {figures.latency(snapshot.lag_now_ns)}")
    if response.n:
        p50_ns, p99_ns = response.percentiles_ns(_PERCENTS)
        parts.append(
            f"response p50 {figures.latency(p50_ns)} p99 {figures.latency(p99_ns)} "
            f"max {figures.latency(response.max_ns)}"
        )
    parts.append(
        f"{tally.confirmed:,} of {tally.scheduled:,} scheduled confirmed, {tally.failed:,} failed, "
        f"{tally.unconfirmed:,} unconfirmed, {tally.not_sent:,} not sent"
    )
    parts.append(figures.megabytes_per_s(interval.raw_bytes_per_s))
    if snapshot.lane is not None:
        parts.append(f"lane {snapshot.lane}")
    return " | ".join(parts)


def _stats_fields(snapshot: Snapshot, interval: Interval) -> dict[str, object]:
    return {
        "interval_s": round(interval.seconds, 3),
        "n_lanes": snapshot.n_lanes,
        "lane": snapshot.lane,
        "target_per_s": round(snapshot.target_per_s, 3) if snapshot.target_per_s else None,
        "sent_per_s": round(interval.sent_per_s, 3),
        "confirmed_per_s": round(interval.confirmed_per_s, 3),
        "raw_bytes_per_s": round(interval.raw_bytes_per_s),
        **snapshot.tally.to_dict(),
        "raw_bytes": snapshot.raw_bytes,
        **_sink_fields(snapshot.sink),
        "lag_now_ms": _ms(snapshot.lag_now_ns),
        **_latency_fields(interval.latencies),
    }


def _end_fields(report: RunReport) -> dict[str, object]:
    return {
        "started_at": report.started_at,
        "stop_reason": report.stop_reason,
        "error": report.error,
        "destination": report.destination,
        "lane": report.lane,
        "complete": report.is_complete,
        **report.tally.to_dict(),
        "raw_bytes": report.total_raw_bytes,
        **_sink_fields(report.sink),
        **_latency_fields(report.latencies),
    }


def _sink_fields(sink: SinkCounters) -> dict[str, object]:
    return {
        "wire_bytes": sink.wire_bytes,
        "reconnects": sink.n_reconnects,
        "maybe_duplicated": sink.n_maybe_duplicated,
    }


def _latency_fields(latencies: Latencies) -> dict[str, object]:
    """``lag_p50_ms`` … ``response_max_ms``; null where nothing was measured."""
    fields: dict[str, object] = {}
    for name in ("lag", "service", "response"):
        histogram: Histogram = getattr(latencies, name)
        p50_ns, p99_ns = histogram.percentiles_ns(_PERCENTS)
        for key, ns in (("p50", p50_ns), ("p99", p99_ns), ("max", histogram.max_ns)):
            fields[f"{name}_{key}_ms"] = _ms(ns) if histogram.n else None
    return fields


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)


def _level_of(report: RunReport) -> str:
    return "info" if report.error is None and report.is_complete else "error"
