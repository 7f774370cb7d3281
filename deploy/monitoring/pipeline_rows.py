"""The rows about what comes after the producer: Pulsar, Flink, ClickHouse, by their own metrics.

Promise: a row is empty, and nothing worse, where its service is not scraped. Pulsar's own label
``namespace`` becomes ``exported_namespace`` where Kubernetes adds one, so its series are chosen by
their topic.
"""

from __future__ import annotations

from typing import Final

from panels import CONFIRMED, Panel, Query, Row, rate

_TOPIC: Final = 'topic=~"$topic(-partition-[0-9]+)?"'
_FLINK: Final = 'job_name=~"$flink_job"'
_TABLE: Final = 'database="benchmark",table="sensors_local",active="1"'


def _topic(metric: str) -> str:
    return f"{metric}{{{_TOPIC}}}"


PULSAR: Final = Row(
    "Pulsar",
    (
        Panel(
            "Messages a second, in and out",
            (
                Query(
                    f"sum(rate({_topic('pulsar_in_messages_total')}[$__rate_interval]))",
                    "stored",
                ),
                Query(f"sum({_topic('pulsar_rate_in')})", "stored, the broker's minute"),
                Query(f"sum({_topic('pulsar_rate_out')})", "delivered, the broker's minute"),
                Query(rate(CONFIRMED), "confirmed to the producer"),
            ),
            "Stored above confirmed: somebody else produces too, or messages are sent twice.",
        ),
        Panel(
            "Bytes a second",
            (
                Query(
                    f"sum(rate({_topic('pulsar_in_bytes_total')}[$__rate_interval]))",
                    "in",
                ),
                Query(f"sum({_topic('pulsar_throughput_out')})", "out, the broker's minute"),
            ),
            "As the broker counts them: compressed.",
            "Bps",
        ),
        Panel(
            "Backlog by subscription, entries",
            (
                Query(
                    f"sum by (subscription) ({_topic('pulsar_subscription_back_log')})",
                    "{{subscription}}",
                ),
                Query(f"sum({_topic('pulsar_msg_backlog')})", "all of the topic"),
            ),
            "What subscriptions have not acknowledged; it grows where Flink is slower than the "
            "load. Pulsar counts entries here: one is up to 1000 of the producer's messages.",
        ),
        Panel(
            "Stored",
            (
                Query(f"sum({_topic('pulsar_storage_size')})", "with its copies"),
                Query(f"sum({_topic('pulsar_storage_logical_size')})", "once"),
            ),
            "Bytes of the topic on the disks of the bookies.",
            "bytes",
        ),
        Panel(
            "Producers, subscriptions, consumers",
            (
                Query(f"sum({_topic('pulsar_producers_count')})", "producers"),
                Query(f"sum({_topic('pulsar_subscriptions_count')})", "subscriptions"),
                Query(f"sum({_topic('pulsar_consumers_count')})", "consumers"),
            ),
            "One producer a lane and partition.",
        ),
        Panel(
            "Time to publish, as the broker sees it",
            (
                Query(
                    'max by (quantile) (pulsar_broker_publish_latency{quantile=~"0.5|0.99|0.999"})',
                    "{{quantile}}",
                ),
            ),
            "Milliseconds, all topics of the broker, the slowest broker. Where this is small and "
            "the producer's service time is not, look at the network between them.",
            "ms",
        ),
    ),
)

FLINK: Final = Row(
    "Flink (its Prometheus reporter)",
    (
        Panel(
            "Records a second, by operator",
            (
                Query(
                    "sum by (operator_name) (rate(flink_taskmanager_job_task_operator_numRecordsIn"
                    f"{{{_FLINK}}}[$__rate_interval]))",
                    "in {{operator_name}}",
                ),
                Query(
                    "sum by (operator_name) (rate(flink_taskmanager_job_task_operator_"
                    f"numRecordsOut{{{_FLINK}}}[$__rate_interval]))",
                    "out {{operator_name}}",
                ),
            ),
            "What the source gives out is what Flink took from Pulsar.",
        ),
        Panel(
            "Busy and held back, of a second",
            (
                Query(
                    "max by (task_name) (flink_taskmanager_job_task_busyTimeMsPerSecond"
                    f"{{{_FLINK}}}) / 1000",
                    "busy {{task_name}}",
                ),
                Query(
                    "max by (task_name) (flink_taskmanager_job_task_backPressuredTimeMsPerSecond"
                    f"{{{_FLINK}}}) / 1000",
                    "held back {{task_name}}",
                ),
            ),
            "A task that is busy all the time holds back those before it.",
            "percentunit",
        ),
        Panel(
            "Checkpoints and restarts",
            (
                Query(
                    "sum(increase(flink_jobmanager_job_numberOfCompletedCheckpoints"
                    f"{{{_FLINK}}}[15m]))",
                    "completed within 15 minutes",
                ),
                Query(
                    "sum(increase(flink_jobmanager_job_numberOfFailedCheckpoints"
                    f"{{{_FLINK}}}[15m]))",
                    "failed within 15 minutes",
                ),
                Query(
                    f"max(flink_jobmanager_job_lastCheckpointDuration{{{_FLINK}}}) / 1000",
                    "seconds of the last",
                ),
                Query(f"max(flink_jobmanager_job_numRestarts{{{_FLINK}}})", "restarts"),
            ),
            "Rows reach ClickHouse with checkpoints; a failed one is done again.",
        ),
    ),
    folded=True,
)

CLICKHOUSE: Final = Row(
    "ClickHouse (its own endpoint, or the exporter of its operator)",
    (
        Panel(
            "Rows inserted a second",
            (
                Query(
                    "sum(rate(ClickHouseProfileEvents_InsertedRows[$__rate_interval]))",
                    "all tables",
                ),
                Query(
                    "sum(rate(chi_clickhouse_event_InsertedRows[$__rate_interval]))",
                    "all tables (operator)",
                ),
            ),
            "All tables of all replicas, those of the system too.",
        ),
        Panel(
            "Rows in benchmark.sensors_local",
            (
                Query(
                    f"sum(chi_clickhouse_table_parts_rows{{{_TABLE}}})",
                    "all shards and replicas",
                ),
            ),
            "SELECT count(*) FROM benchmark.sensors_local, without asking. From the exporter of "
            "the operator.",
        ),
        Panel(
            "Inserts delayed and failed, a second",
            (
                Query(
                    "sum(rate(ClickHouseProfileEvents_DelayedInserts[$__rate_interval]))",
                    "delayed",
                ),
                Query(
                    "sum(rate(ClickHouseProfileEvents_FailedInsertQuery[$__rate_interval]))",
                    "failed",
                ),
                Query(
                    "sum(rate(chi_clickhouse_event_DelayedInserts[$__rate_interval]))",
                    "delayed (operator)",
                ),
                Query(
                    "sum(rate(chi_clickhouse_event_FailedInsertQuery[$__rate_interval]))",
                    "failed (operator)",
                ),
            ),
            "Delayed: too many parts, merges do not keep up; make larger inserts.",
        ),
        Panel(
            "Queries, merges, parts",
            (
                Query("sum(ClickHouseMetrics_Query)", "queries"),
                Query("sum(ClickHouseMetrics_Merge)", "merges"),
                Query("sum(ClickHouseMetrics_PartsActive)", "active parts"),
                Query("sum(chi_clickhouse_metric_Query)", "queries (operator)"),
                Query("sum(chi_clickhouse_metric_Merge)", "merges (operator)"),
                Query("sum(chi_clickhouse_metric_PartsActive)", "active parts (operator)"),
            ),
            "At this moment.",
            width=24,
        ),
    ),
    folded=True,
)
