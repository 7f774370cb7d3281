"""A run before it begins, in words: its schedule, its size, where each setting came from.

Promise: pure text of a `RunConfig`; passwords stay hidden. It must not know how anything is carried
out, nor open a destination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from iot_producer import figures
from iot_producer.destination import Scheme
from iot_producer.errors import ConfigError
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.lane_start import claims_lane
from iot_producer.quantities import parse_duration, parse_rate
from iot_producer.report import iso_time
from iot_producer.run_config import RunConfig
from iot_producer.schedule import MaxRate, Schedule, schedule_from_spec

RECORD_BYTES: Final = 539
"""Mean length of a record as JSON text: measured over the default fleet of 100,000 devices in four
months, by day and by night: 538.3 … 539.4."""

_DEVICES_TO_COUNT: Final = 20_000_000
"""Up to here the exact messages of a shard are counted; beyond it takes seconds and gigabytes."""
_S: Final = 10**9


def title_of(config: RunConfig) -> str:
    """A run in one line: what, and where to."""
    words = schedule_words(config.schedule.to_spec(), config.n_shards)
    destination = config.destination
    topic = destination.topic.removeprefix("persistent://").removeprefix("public/default/")
    return f"{words} → {destination.url}" + (f" {topic}" if topic else "")


def schedule_words(spec: Mapping[str, object], n_shards: int = 1) -> str:
    """A schedule in words, as ``to_spec`` gives it.

    Args:
        spec: of the whole plan.
        n_shards: equal pods that share it; the words are about one of them.
    """

    def per_s(key: str, table: Mapping[str, object] = spec) -> str:
        return figures.rate(float(parse_rate(table[key], key, zero=True) / n_shards))

    def time(key: str, table: Mapping[str, object] = spec) -> str:
        return figures.duration(parse_duration(table[key], key))

    match spec.get("kind"):
        case "constant":
            return f"{per_s('rate')} msg/s"
        case "ramp":
            return f"from {per_s('from')} to {per_s('to')} msg/s over {time('over')}"
        case "steps":
            steps = spec["steps"]
            assert isinstance(steps, Sequence)
            texts = [f"{per_s('rate', step)} msg/s for {time('for', step)}" for step in steps]
            if len(texts) > 5:
                texts = [*texts[:3], f"{len(texts) - 4} more steps", texts[-1]]
            return ", ".join(texts) + (", and again" if spec.get("repeat") else "")
        case "wave":
            return (
                f"a wave of {per_s('low')} … {per_s('high')} msg/s in {time('period')}, "
                f"highest {time('peak_at')} after its start"
            )
        case "bursts":
            return (
                f"{per_s('base')} msg/s, and {per_s('burst')} msg/s "
                f"in the last {time('for')} of every {time('every')}"
            )
        case _:
            return "as fast as the destination takes it"


def n_messages_of(config: RunConfig) -> int | None:
    """How many messages this pod's part of the plan has; None when nobody knows.

    Exact, but for shards of very large fleets.
    """
    n = config.schedule.n_messages
    if n is None or config.n_shards == 1:
        return n
    if isinstance(config.schedule, MaxRate) or not _can_count(config):
        return n // config.n_shards
    lanes = [
        LaneSpec(config.lane_index(worker), config.n_lanes) for worker in range(config.workers)
    ]
    return sum(lane_of(config.fleet.devices, lane).n_before(n) for lane in lanes)


def plan_text(config: RunConfig) -> str:
    """What a run would do, for ``--dry-run``: the plan, its size, and every setting's origin."""
    rows = [("Dry run", "nothing is sent")]
    rows += _destination_rows(config)
    fleet = config.fleet
    rows.append(
        (
            "Fleet",
            f"{figures.plural(fleet.devices, 'device')} of "
            f"{figures.plural(fleet.customers, 'customer')} at "
            f"{figures.plural(fleet.sites, 'site')}, seed {fleet.seed}",
        )
    )
    rows += _schedule_rows(config)
    rows.append(("Lanes", _lanes_words(config)))
    rows.append(("Start", "now" if config.start_ns is None else iso_time(config.start_ns)))
    rows += _size_rows(config)
    if not isinstance(config.schedule, MaxRate):
        rows.append(("Overload", _overload_words(config)))
    if claims_lane(config):
        rows.append(("Gap", _gap_words(config)))
    rows.append(("Report", "none" if config.report is None else str(config.report)))
    lines = [f"{label.ljust(13)}{text}" for label, text in rows]
    return "\n".join([*lines, "", *_source_lines(config)])


def mean_per_s(spec: Mapping[str, object], n_messages: int) -> float | None:
    """The mean rate of a plan's first messages; None when the plan has no times.

    Args:
        spec: the schedule, as ``to_spec`` gives it.
        n_messages: how many, at least 1.
    """
    unlimited = {key: value for key, value in spec.items() if key not in ("n_messages", "duration")}
    try:
        schedule = schedule_from_spec(unlimited)
    except ConfigError:
        return None
    if isinstance(schedule, MaxRate):
        return None
    if schedule.n_messages is not None and n_messages >= schedule.n_messages:
        # It ends at rate 0: there is no message behind the last one.
        n_messages = schedule.n_messages - 1
    span_ns = schedule.due_ns(n_messages)
    return n_messages * 1e9 / span_ns if span_ns else None


def _destination_rows(config: RunConfig) -> list[tuple[str, str]]:
    destination = config.destination
    rows = [("Destination", "standard output" if destination.url == "-" else destination.url)]
    if destination.scheme is Scheme.PULSAR:
        partitions = config.create_topic
        note = ""
        if partitions is not None:
            how = figures.plural(partitions, "partition") if partitions else "no partitions"
            note = f", created with {how} if it is not there"
        rows.append(("Topic", f"{destination.topic}{note}"))
        rows.append(("Compression", config.compression))
    return rows


def _schedule_rows(config: RunConfig) -> list[tuple[str, str]]:
    schedule, spec = config.schedule, config.schedule.to_spec()
    rows = [("Schedule", schedule_words(spec, config.n_shards))]
    if isinstance(schedule, MaxRate) or spec.get("kind") == "constant":
        return rows
    peak = figures.rate(float(schedule.peak_per_s / config.n_shards))
    mean = _mean_of(schedule)
    text = f"peak {peak} msg/s"
    if mean is not None:
        text += f", average {figures.rate(mean / config.n_shards)} msg/s"
    rows.append(("", text))
    return rows


def _mean_of(schedule: Schedule) -> float | None:
    """The mean rate over the plan; of a shape that repeats without end, over a round of it."""
    spec = schedule.to_spec()
    if schedule.n_messages is not None:
        return mean_per_s(spec, schedule.n_messages)
    if spec.get("kind") == "ramp" or (spec.get("kind") == "steps" and not spec.get("repeat")):
        return None
    match spec["kind"]:
        case "wave":
            period_ns = parse_duration(spec["period"])
        case "bursts":
            period_ns = parse_duration(spec["every"])
        case _:
            steps = spec["steps"]
            assert isinstance(steps, Sequence)
            period_ns = sum(parse_duration(step["for"]) for step in steps)
    # A thousand rounds, so that the one message more or less does not show.
    return schedule.n_due(1000 * period_ns - 1) * _S / (1000 * period_ns)


def _lanes_words(config: RunConfig) -> str:
    workers = figures.plural(config.workers, "worker")
    if claims_lane(config):
        return f"the first that is free on the broker, {workers}"
    if config.n_shards == 1:
        return f"{config.n_lanes:,}, {workers}"
    return (
        f"{config.workers:,} of the plan's {config.n_lanes:,}: shard {config.shard} of "
        f"{config.n_shards} (from 0), {workers}"
    )


def _size_rows(config: RunConfig) -> list[tuple[str, str]]:
    schedule, n = config.schedule, n_messages_of(config)
    about = "" if _is_exact(config) else "about "
    each = f"{RECORD_BYTES} bytes a record"
    if n is None:
        text = f"about {each} as JSON, before compression"
    else:
        text = f"about {figures.size(n * RECORD_BYTES)} as JSON ({each}), before compression"
    if not isinstance(schedule, MaxRate):
        peak = schedule.peak_per_s / config.n_shards * RECORD_BYTES
        at_peak = "" if schedule.to_spec().get("kind") == "constant" else " at the peak"
        text += f"; {figures.megabytes_per_s(float(peak))}{at_peak}"
    return [
        ("Duration", _duration_words(config)),
        ("Messages", "no limit" if n is None else f"{about}{n:,}"),
        ("Bytes", text),
    ]


def _duration_words(config: RunConfig) -> str:
    """How long the plan lasts, to the first of its limits."""
    schedule, limit_ns = config.schedule, config.duration_ns
    if schedule.n_messages is None:
        return "until stopped" if limit_ns is None else figures.duration(limit_ns)
    if isinstance(schedule, MaxRate):
        messages = "as long as the messages take"
        return messages if limit_ns is None else f"{messages}, at most {figures.duration(limit_ns)}"
    if limit_ns is not None and config.n_messages is None:
        return figures.duration(limit_ns)
    lasts_ns = schedule.due_ns(schedule.n_messages - 1)
    if schedule.to_spec().get("kind") == "constant":
        # The last message has its interval too: 1000 of them at 1000 a second are a second.
        lasts_ns += int(_S / schedule.peak_per_s)
    return figures.duration(lasts_ns if limit_ns is None else min(lasts_ns, limit_ns))


def _overload_words(config: RunConfig) -> str:
    limit = figures.duration(config.max_lag_ns)
    match config.on_overload:
        case "drop":
            return f"drop: what is later than {limit} is left out, and counted as not sent"
        case "fail":
            return f"fail: the run ends when a message is later than {limit}"
        case _:
            return "catch-up: late messages are sent late, and their lag is counted"


def _gap_words(config: RunConfig) -> str:
    if config.on_gap == "catch-up":
        longest = figures.duration(config.max_gap_ns)
        return f"catch-up: what a resumed lane left out in the last {longest} is sent late"
    return "skip: what a resumed lane left out is not sent, and named in the report"


def _can_count(config: RunConfig) -> bool:
    return config.fleet.devices * config.workers <= _DEVICES_TO_COUNT


def _is_exact(config: RunConfig) -> bool:
    is_share = config.n_shards > 1 and not isinstance(config.schedule, MaxRate)
    return not is_share or _can_count(config)


def _source_lines(config: RunConfig) -> list[str]:
    """What somebody set, with its origin; then the defaults, in the same columns."""
    if not config.sources:
        return []
    names = max(len(source.name) for source in config.sources)
    values = min(max(len(source.value) for source in config.sources), 52)
    given = [source for source in config.sources if source.origin != "default"]
    usual = [source for source in config.sources if source.origin == "default"]
    lines = ["Settings given" if given else "Settings given: none"]
    for source in given:
        value = figures.one_line(source.value).ljust(values)
        lines.append(f"  {source.name.ljust(names)}  {value}  {source.origin}")
    if usual:
        lines.append("Defaults")
    for source in usual:
        lines.append(f"  {source.name.ljust(names)}  {figures.one_line(source.value)}".rstrip())
    return lines
