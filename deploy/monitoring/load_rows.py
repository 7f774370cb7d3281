"""The rows about the load: what was asked for, what became of it, how long it took.

Promise: every metric here is the producer's own. Lag, service time and response time are the three
of docs/explanation/latency.md.
"""

from __future__ import annotations

from typing import Final

from panels import CONFIRMED, TARGET, Panel, Query, Row, over_the_page, percentiles, pods, rate


def _count_of(title: str, metric: str, legend: str, description: str) -> Panel:
    """How many messages met a fate that none should meet: one is an alarm."""
    query = Query(over_the_page(metric), legend)
    return Panel(title, (query,), description, kind="stat", width=4, alarm_at=1)


AT_A_GLANCE: Final = Row(
    "At a glance",
    (
        Panel(
            "Confirmed, of the target",
            (Query(f"{rate(CONFIRMED)} / (sum({pods(TARGET)}) > 0)", "of target"),),
            "Confirmed messages a second, of what was asked for at the moment. Nothing is shown "
            "where the rate is max. Above 100 % a gap is being caught up with.",
            "percentunit",
            "stat",
            4,
            alarm_below=0.98,
        ),
        Panel(
            "Lag now",
            (Query(f"max({pods('iot_producer_lag_now_seconds')})", "lag"),),
            "How long the oldest overdue message has waited to be sent; the worst pod.",
            "s",
            "stat",
            4,
            warn_at=1,
            alarm_at=5,
        ),
        Panel(
            "Pods ready",
            (
                Query(f"sum({pods('iot_producer_ready')})", "ready"),
                Query(f"count({pods('iot_producer_ready')})", "scraped"),
            ),
            "Ready: what comes due is being confirmed. Scraped: pods whose metrics there are.",
            kind="stat",
            width=4,
        ),
        _count_of(
            "Failed",
            "iot_producer_failed_messages_total",
            "failed",
            "Messages that the broker refused, within the time shown.",
        ),
        _count_of(
            "Not sent",
            "iot_producer_not_sent_messages_total",
            "not sent",
            "Messages that were given up before they were sent, within the time shown.",
        ),
        _count_of(
            "Possible duplicates",
            "iot_producer_maybe_duplicated_messages_total",
            "maybe twice",
            "Messages that were sent again while nobody knew whether the broker had stored them, "
            "and that it does not deduplicate; within the time shown.",
        ),
    ),
)

LOAD: Final = Row(
    "Load",
    (
        Panel(
            "Target and confirmed, messages a second",
            (
                Query(f"sum({pods(TARGET)})", "target"),
                Query(rate("iot_producer_scheduled_messages_total"), "scheduled"),
                Query(rate("iot_producer_sent_messages_total"), "sent"),
                Query(rate(CONFIRMED), "confirmed"),
            ),
            "All pods together. Target 0: the rate is max.",
            width=12,
        ),
        Panel(
            "Confirmed by pod, messages a second",
            (Query(rate(CONFIRMED, "pod"), "{{pod}}"),),
            "One line a pod; they should lie upon each other.",
            width=12,
        ),
        Panel(
            "What became of messages, a second",
            (
                Query(rate(CONFIRMED), "confirmed"),
                Query(rate("iot_producer_failed_messages_total"), "failed"),
                Query(rate("iot_producer_not_sent_messages_total"), "not sent"),
            ),
            "The fates of messages. What is missing to scheduled is unconfirmed or overdue.",
            stacked=True,
        ),
        Panel(
            "Unconfirmed and overdue messages",
            (
                Query(
                    f"sum by (pod) ({pods('iot_producer_unconfirmed_messages')})",
                    "{{pod}} unconfirmed",
                ),
                Query(f"sum by (pod) ({pods('iot_producer_overdue_messages')})", "{{pod}} overdue"),
            ),
            "Unconfirmed: sent, and no answer yet; at --max-pending a worker waits. Overdue: due "
            "and not yet sent; that is the debt.",
        ),
        Panel(
            "The tally since the start of the pods",
            (
                Query(f"sum({pods('iot_producer_scheduled_messages_total')})", "scheduled"),
                Query(f"sum({pods(CONFIRMED)})", "confirmed"),
                Query(f"sum({pods('iot_producer_failed_messages_total')})", "failed"),
                Query(f"sum({pods('iot_producer_unconfirmed_messages')})", "unconfirmed"),
                Query(f"sum({pods('iot_producer_not_sent_messages_total')})", "not sent"),
                Query(f"sum({pods('iot_producer_overdue_messages')})", "overdue"),
            ),
            "Scheduled = confirmed + failed + unconfirmed + not sent + overdue.",
            kind="stat",
        ),
        Panel(
            "Bytes a second",
            (
                Query(rate("iot_producer_raw_bytes_total"), "raw"),
                Query(rate("iot_producer_wire_bytes_total"), "on the wire"),
            ),
            "Records before compression, and what went to the broker.",
            "Bps",
        ),
        Panel(
            "Bytes a message",
            (
                Query(
                    f"{rate('iot_producer_raw_bytes_total')} / "
                    f"({rate('iot_producer_sent_messages_total')} > 0)",
                    "raw",
                ),
                Query(
                    f"{rate('iot_producer_wire_bytes_total')} / "
                    f"({rate('iot_producer_sent_messages_total')} > 0)",
                    "on the wire",
                ),
            ),
            "The difference is compression, and what a batch entry saves.",
            "bytes",
        ),
    ),
)

LATENCY: Final = Row(
    "Latency",
    (
        Panel(
            "Response time: confirmed − intended",
            percentiles("iot_producer_response_time_seconds"),
            "The headline: free of coordinated omission. From the buckets of a histogram: a value "
            "is exact to its bucket, of which there are 16 up to 60 s; the largest bucket is an "
            "upper bound of the slowest.",
            "s",
        ),
        Panel(
            "Service time: confirmed − sent",
            percentiles("iot_producer_service_time_seconds"),
            "What the broker and the network took.",
            "s",
        ),
        Panel(
            "Lag: sent − intended",
            percentiles("iot_producer_lag_seconds"),
            "What the producer took, and what it had to wait for.",
            "s",
        ),
        Panel(
            "Lag now, by pod",
            (
                Query(
                    f"max by (pod) ({pods('iot_producer_lag_now_seconds')})",
                    "{{pod}}",
                ),
            ),
            "A line that climbs by a second each second: nothing goes out.",
            "s",
            width=12,
        ),
        Panel(
            "Response time, all of it",
            (
                Query(
                    "sum by (le) "
                    f"(increase({pods('iot_producer_response_time_seconds_bucket')}"
                    "[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
            "How many messages fell into which bucket.",
            "s",
            "heatmap",
            12,
        ),
    ),
)
