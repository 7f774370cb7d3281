"""The end of a run in a few lines that a newcomer understands.

Promise: at most eighteen lines, the verdict first; the counts are shown as the law that they obey,
and everything that was not confirmed with its reason. It must not know where the text goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iot_producer import figures
from iot_producer.errors import ConfigError
from iot_producer.lane_start import lanes_words
from iot_producer.latency import Histogram
from iot_producer.outcome import TallySnapshot
from iot_producer.plan_text import mean_per_s, schedule_words
from iot_producer.report import LaneReport, RunReport, iso_time

if TYPE_CHECKING:  # rich is for terminals only
    from rich.text import Text

_LABEL: Final = 13
_COLUMN: Final = 10
_MAX_REASONS: Final = 2

Line = tuple[str, str, str]
"""Label, text, and the style of the text."""


_LATE_NS: Final = 1_000_000_000
"""From this lag on the summary says that the load was late."""
_TAIL_S: Final = 1.0
"""So long after the end of the plan the last confirmations may come without lowering the rate."""


def summary(report: RunReport, path: Path | str | None = None) -> str:
    """The end of a run as plain text, without a newline at its end.

    Args:
        report: the result.
        path: where it was written; None: nowhere.
    """
    return "\n".join(f"{label}{text}" for label, text, _ in _lines(report, path))


def styled_summary(report: RunReport, path: Path | str | None = None) -> Text:
    """The same for a terminal; its ``plain`` is what ``summary`` gives."""
    from rich.text import Text

    text = Text()
    for number, (label, value, style) in enumerate(_lines(report, path)):
        text.append("\n" if number else "").append(label, "dim").append(value, style)
    return text


def _lines(report: RunReport, path: Path | str | None) -> list[Line]:
    tally = report.tally
    latencies = report.latencies
    lines = [
        _headline(report, tally),
        _row("To", figures.one_line(report.destination)),
        _row("Plan", _plan_words(report)),
        *_lane_rows(report),
        _row("Ran", _ran_words(report)),
        _row("Rate", _rate_words(report, tally)),
        _row("Scheduled", _law(tally)),
    ]
    if latencies.response.n or latencies.lag.n:
        names = "".join(name.rjust(_COLUMN) for name in ("p50", "p99", "p99.9", "max"))
        warm_up = f"   without the first {report.n_warm_up:,} messages" if report.n_warm_up else ""
        lines.append((f"{'Latency'.ljust(_LABEL)}{names}{warm_up}", "", ""))
        lines.append(_latency_row("lag", latencies.lag, "sent − intended"))
        lines.append(_latency_row("service", latencies.service, "confirmed − sent"))
        lines.append(_latency_row("response", latencies.response, "confirmed − intended"))
    if latencies.lag.max_ns >= _LATE_NS:
        late = figures.latency(latencies.lag.max_ns)
        text = f"up to {late} behind the schedule: the load was not on time throughout"
        lines.append(_row("Late", text, "yellow"))
    if tally.failed:
        reasons = _reasons(lane.ranges.failed_reasons for lane in _lanes(report))
        lines.append(_row("Failed", f"{tally.failed:,}: {reasons}", "red"))
    if tally.unconfirmed:
        text = "sent, but no confirmation came; they may have arrived all the same"
        lines.append(_row("Unconfirmed", f"{tally.unconfirmed:,}: {text}", "yellow"))
    if tally.not_sent > report.n_stored_before:
        reasons = _reasons(lane.ranges.not_sent_reasons for lane in _lanes(report))
        lines.append(_row("Not sent", f"{tally.not_sent:,}: {reasons}", "yellow"))
    if report.sink.n_maybe_duplicated:
        text = "sent again, without deduplication on the topic; they may be there twice"
        lines.append(_row("May be twice", f"{report.sink.n_maybe_duplicated:,}: {text}", "yellow"))
    if report.error is not None:
        lines.append(_row("Error", figures.one_line(report.error), "red"))
    lines.append(_row("Report", _report_words(report, path)))
    return lines


def _headline(report: RunReport, tally: TallySnapshot) -> Line:
    if not tally.scheduled:
        return ("", "✗ Nothing was sent: no message came due.", "bold red")
    n_before = report.n_stored_before
    if report.is_complete:
        what = "message that was due is" if tally.scheduled == 1 else "messages that were due are"
        if report.error is not None:
            return ("", f"✗ Ended early; all {tally.scheduled:,} {what} confirmed.", "bold yellow")
        before = f"; {n_before:,} of them were stored before" if n_before else ""
        return ("", f"✓ All {tally.scheduled:,} {what} confirmed{before}.", "bold green")
    n = tally.scheduled - tally.confirmed - n_before
    are = "is" if n == 1 else "are"
    of = figures.plural(tally.scheduled, "message")
    return ("", f"✗ {n:,} of {of} that came due {are} not confirmed.", "bold red")


def _plan_words(report: RunReport) -> str:
    n_here = len(report.lanes)
    shares = report.n_lanes // n_here if n_here and report.n_lanes % n_here == 0 else 1
    try:
        words = schedule_words(report.schedule, shares)
    except (ConfigError, KeyError):
        words = "a schedule of another version"
    fleet = report.fleet
    if isinstance(fleet.get("devices"), int):
        words += f"; {fleet['devices']:,} devices, seed {fleet.get('seed')}"
    lanes = lanes_words(n_here, report.lane)
    return f"{words}, {lanes}" + (f" of {report.n_lanes:,}" if n_here != report.n_lanes else "")


def _lane_rows(report: RunReport) -> list[Line]:
    """What is special about the lanes: those that were lost, and what a resumed one left out."""
    texts = []
    for earlier in report.earlier:
        ended = earlier.ended_at.replace("T", " ")[:19]
        texts.append(f"lane {earlier.lane} until {ended} UTC, then it was lost")
    gap = report.gap
    if gap is not None and not gap.is_filled:
        n = "" if gap.n_messages is None else f" ({gap.n_messages:,} messages)"
        since = iso_time(gap.since_ns).replace("T", " ")[:19]
        lasts = figures.duration(gap.until_ns - gap.since_ns)
        texts.append(f"not sent: the {lasts}{n} after the lane's last message, {since} UTC")
    return [_row("Lane", "; ".join(texts), "yellow")] if texts else []


def _lanes(report: RunReport) -> list[LaneReport]:
    return [lane for episode in report.episodes for lane in episode.lanes]


def _ran_words(report: RunReport) -> str:
    reason = figures.one_line(report.stop_reason)
    if report.stop_reason == report.error:
        reason = "the error below"
    began = iso_time(_began_ns(report)).replace("T", " ")
    return f"{figures.duration(_length_ns(report))} from {began[:19]} UTC, until {reason}"


def _began_ns(report: RunReport) -> int:
    """The first intended time, or the program's start when that is later."""
    first = report.episodes[0]
    return max(_ns_of(first.started_at), first.start_ns)


def _length_ns(report: RunReport) -> int:
    return max(_ns_of(report.ended_at) - _began_ns(report), 0)


def _ns_of(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000) * 1_000_000


def _rate_words(report: RunReport, tally: TallySnapshot) -> str:
    length_s = _length_ns(report) / 1e9
    if not length_s:
        return "–"
    target = _target_per_s(report, tally)
    if target and 0 <= length_s - tally.scheduled / target < _TAIL_S:
        length_s = tally.scheduled / target  # the last confirmations are no part of the plan
    per_s = tally.confirmed / length_s
    text = f"{figures.rate(per_s)} msg/s confirmed"
    if target:
        text += f" of {figures.rate(target)} planned ({figures.percent(round(per_s / target, 3))})"
    n_bytes = report.total_raw_bytes
    text += f", {figures.megabytes_per_s(n_bytes / length_s)}, {figures.size(n_bytes)}"
    n_wire = report.sink.wire_bytes
    return f"{text} ({figures.size(n_wire)} on the wire)" if n_wire else text


def _target_per_s(report: RunReport, tally: TallySnapshot) -> float | None:
    """The mean rate that this run's lanes were to have, over what came due."""
    n_here = len(report.lanes)
    if not n_here or not tally.scheduled:
        return None
    # Lanes share the plan's messages evenly, up to a few.
    n_of_plan = tally.scheduled * report.n_lanes // n_here
    try:
        plan_per_s = mean_per_s(report.schedule, n_of_plan)
    except (ConfigError, ValueError):
        return None
    return None if plan_per_s is None else plan_per_s * n_here / report.n_lanes


def _law(tally: TallySnapshot) -> str:
    return (
        f"{tally.scheduled:,} = {tally.confirmed:,} confirmed + {tally.failed:,} failed + "
        f"{tally.unconfirmed:,} unconfirmed + {tally.not_sent:,} not sent"
    )


def _latency_row(name: str, histogram: Histogram, meaning: str) -> Line:
    label = f"  {name}".ljust(_LABEL)
    if not histogram.n:
        return (label, "–".rjust(_COLUMN), "")
    values = [*histogram.percentiles_ns((50, 99, 99.9)), histogram.max_ns]
    cells = "".join(figures.latency(ns).rjust(_COLUMN) for ns in values)
    return (label, f"{cells}   {meaning}", "")


def _reasons(tables: Iterable[Mapping[str, int]]) -> str:
    """The most frequent reasons."""
    total: Counter[str] = Counter()
    for table in tables:
        total.update(table)
    if len(total) == 1:
        return figures.one_line(next(iter(total)))
    most = total.most_common(_MAX_REASONS)
    texts = [f"{figures.one_line(reason)} ({n:,})" for reason, n in most]
    rest = len(total) - len(most)
    if rest:
        texts.append(figures.plural(rest, "other reason"))
    return ", ".join(texts)


def _report_words(report: RunReport, path: Path | str | None) -> str:
    if path is None:
        return "not kept; --report FILE keeps it, and verify needs it"
    if report.destination.startswith("pulsar"):
        return f"{path}; check what arrived: iot-producer verify --report {path}"
    return str(path)


def _row(label: str, text: str, style: str = "") -> Line:
    return (label.ljust(_LABEL), text, style)
