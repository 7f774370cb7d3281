"""The table of metrics: names, types, units and meanings, and the page of the reference made of it.

Promise: no metric has a name anywhere else; dashboards and alerts may rely on what stands here. It
must not know where values come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BOUNDS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the histograms' buckets, seconds."""

BUILD_LABELS: Final = ("version", "data_version", "client", "compression", "python")


class Type(StrEnum):
    """The types of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: in full; a counter's ends in ``_total``.
        type: of Prometheus.
        unit: ``messages``, ``bytes``, ``seconds``; empty where there is none.
        help: one sentence.
        labels: their names.
    """

    name: str
    type: Type
    unit: str
    help: str
    labels: tuple[str, ...] = ()


METRICS: Final = tuple(
    Metric(f"iot_producer_{name}", *rest)
    for name, *rest in (
        (
            "build_info",
            Type.GAUGE,
            "",
            "Always 1; its labels say what runs here. Without Pulsar client and compression are "
            "none.",
            BUILD_LABELS,
        ),
        (
            "target_messages_per_second",
            Type.GAUGE,
            "",
            "The rate that the schedule asks of this pod at the moment; 0 where the rate is max. "
            "Until the load begins it is the schedule's first.",
        ),
        (
            "scheduled_messages_total",
            Type.COUNTER,
            "messages",
            "Messages that came due.",
        ),
        (
            "sent_messages_total",
            Type.COUNTER,
            "messages",
            "Messages handed to the destination, each once however often it was sent again.",
        ),
        (
            "confirmed_messages_total",
            Type.COUNTER,
            "messages",
            "Messages that the destination confirmed.",
        ),
        (
            "failed_messages_total",
            Type.COUNTER,
            "messages",
            "Messages that the destination refused.",
        ),
        (
            "not_sent_messages_total",
            Type.COUNTER,
            "messages",
            "Messages given up before they were sent: too late for --max-lag, stored before, or "
            "left over when the lane was lost. What is only late is overdue.",
        ),
        (
            "unconfirmed_messages",
            Type.GAUGE,
            "messages",
            "Messages that were sent and have no answer yet: what is under way.",
        ),
        (
            "overdue_messages",
            Type.GAUGE,
            "messages",
            "Messages that came due and are neither sent nor given up: the debt of the moment. "
            "Scheduled = confirmed + failed + unconfirmed + not sent + overdue.",
        ),
        (
            "raw_bytes_total",
            Type.COUNTER,
            "bytes",
            "Bytes of the records handed to the destination, before compression.",
        ),
        (
            "wire_bytes_total",
            Type.COUNTER,
            "bytes",
            "Bytes of compressed entries handed to connections, those sent again included; 0 with "
            "the official client and without Pulsar.",
        ),
        (
            "reconnects_total",
            Type.COUNTER,
            "",
            "How often a producer came back after its connection broke or the broker closed it; "
            "each partition of each worker has one.",
        ),
        (
            "maybe_duplicated_messages_total",
            Type.COUNTER,
            "messages",
            "Messages that were sent again, and may be stored twice since the topic does not "
            "deduplicate as far as is known; it falls to 0 when it turns out that it does.",
        ),
        (
            "deduplication",
            Type.GAUGE,
            "",
            "1: the topic deduplicates, 0: it does not; absent as long as that cannot be told.",
        ),
        (
            "lag_now_seconds",
            Type.GAUGE,
            "seconds",
            "How long the oldest message that is due and not sent has waited.",
        ),
        (
            "lane",
            Type.GAUGE,
            "",
            "Number of the lane that was claimed from the broker; -1 where none is.",
        ),
        ("workers", Type.GAUGE, "", "Worker processes of this pod."),
        ("ready", Type.GAUGE, "", "1 where /readyz says yes, else 0."),
        (
            "last_confirmed_timestamp_seconds",
            Type.GAUGE,
            "seconds",
            "When confirmations were last seen, in seconds since 1970; 0 before the first. Looked "
            "at four times a second.",
        ),
        (
            "lag_seconds",
            Type.HISTOGRAM,
            "seconds",
            "Sent - intended, of each message; without the warm-up.",
        ),
        (
            "service_time_seconds",
            Type.HISTOGRAM,
            "seconds",
            "Confirmed - sent, of each message; without the warm-up.",
        ),
        (
            "response_time_seconds",
            Type.HISTOGRAM,
            "seconds",
            "Confirmed - intended, of each message: what a reader of the stream waits; without "
            "the warm-up.",
        ),
    )
)
BY_NAME: Final = {metric.name.removeprefix("iot_producer_"): metric for metric in METRICS}

_HEAD: Final = """\
# Metrics

Generated from the code by `make docs`; do not edit.

`iot-producer run --metrics [HOST:]PORT` (variable `IOT_PRODUCER_METRICS`) serves three pages over
HTTP, from its start to its end; the image sets `0.0.0.0:8080`. All workers of the pod are added up.

- `/metrics`: the metrics below, as text of Prometheus or OpenMetrics, as the scraper asks.
- `/healthz`: 200 as long as the run's loop goes round, which never depends on the broker; 503 when
  it has stood still for more than {health_s} s.
- `/readyz`: 200 when something was confirmed, and nothing that came due since has waited for more
  than {ready_s} s without any confirmation; 503 before the first one, in an outage, and as soon as
  the run is asked to end. The time between two messages of a low rate does not count, nor a pause
  of the schedule.

Both answer with a line that says why.

Of the process that serves them there are also Prometheus' usual `process_…` metrics. That is the
parent: the CPU and memory of its workers are not in them; those of the container are.

Histograms have these upper bounds, in seconds: {bounds}. A value within 0.1 % of a bound may be
counted on its other side.

| metric | type | unit | labels | meaning |
|---|---|---|---|---|
"""


def markdown_metrics(health_s: float, ready_s: float) -> str:
    """The page, ending in a newline.

    Args:
        health_s: how long the run's loop may stand still.
        ready_s: how long what came due may wait without any confirmation.
    """
    bounds = ", ".join(f"{bound:g}" for bound in BOUNDS_S)
    head = _HEAD.format(health_s=f"{health_s:g}", ready_s=f"{ready_s:g}", bounds=bounds)
    return head + "".join(f"{_row(metric)}\n" for metric in METRICS)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
    return f"| `{metric.name}` | {metric.type} | {metric.unit or '–'} | {labels} | {metric.help} |"
