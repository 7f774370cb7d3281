"""The rows about pods: who is ready, who has which lane, what the processes take.

Promise: the first row needs the producer's own metrics alone. The second draws what Kubernetes
tells of containers where that is scraped, and what the producer's process tells of itself.
"""

from __future__ import annotations

from typing import Final

from panels import Panel, Query, Row, pods, rate

PODS_AND_LANES: Final = Row(
    "Pods and lanes",
    (
        Panel(
            "Ready, by pod",
            (Query(f"max by (pod) ({pods('iot_producer_ready')})", "{{pod}}"),),
            "0: what came due has waited for more than 10 s without any confirmation.",
        ),
        Panel(
            "Lane, by pod",
            (Query(f"max by (pod) ({pods('iot_producer_lane')})", "{{pod}}"),),
            "Which lane the pod claimed from the broker; −1: none. No two pods have the same.",
        ),
        Panel(
            "Seconds since something was confirmed",
            (
                Query(
                    "time() - max by (pod) "
                    f"({pods('iot_producer_last_confirmed_timestamp_seconds')} > 0)",
                    "{{pod}}",
                ),
            ),
            "Stays below a second at ordinary rates while the broker is there.",
            "s",
        ),
        Panel(
            "Reconnects, a minute",
            (Query(f"60 * {rate('iot_producer_reconnects_total', 'pod')}", "{{pod}}"),),
            "Connections to brokers that had to be made again.",
        ),
        Panel(
            "Messages possibly twice, a minute",
            (
                Query(
                    f"60 * {rate('iot_producer_maybe_duplicated_messages_total', 'pod')}",
                    "{{pod}}",
                ),
            ),
            "Sent again without deduplication. With deduplication it stays 0.",
        ),
        Panel(
            "Restarts within 15 minutes",
            (
                Query(
                    f"sum by (pod) (resets({pods('iot_producer_scheduled_messages_total')}[15m]))",
                    "{{pod}}",
                ),
            ),
            "How often the counters of a pod began again at zero.",
        ),
        Panel(
            "Which version runs",
            (
                Query(
                    "count by (version, data_version, client, compression, python) "
                    f"({pods('iot_producer_build_info')})",
                    "pods",
                ),
            ),
            "One line a combination. Several versions: a rollout is under way.",
            kind="table",
            width=12,
        ),
        Panel(
            "Workers, deduplication",
            (
                Query(f"sum({pods('iot_producer_workers')})", "workers"),
                Query(f"min({pods('iot_producer_deduplication')})", "deduplication on"),
            ),
            "Worker processes of all pods; 1 where the namespace of the topic deduplicates, 0 "
            "where it does not, nothing where nobody may ask.",
            kind="stat",
            width=12,
        ),
    ),
)

_OURS = f"on (namespace, pod) {pods('iot_producer_build_info')}"

RESOURCES: Final = Row(
    "Processor and memory (process_* of the producer, container_* of the kubelet, kube_*)",
    (
        Panel(
            "Processor, cores",
            (
                Query(
                    f"sum by (namespace, pod) (rate({pods('process_cpu_seconds_total')}"
                    f"[$__rate_interval])) and {_OURS}",
                    "{{pod}} process",
                ),
                Query(
                    "sum by (namespace, pod) (rate("
                    + pods("container_cpu_usage_seconds_total", 'container="iot-producer"')
                    + "[$__rate_interval]))",
                    "{{pod}} container",
                ),
                Query(
                    "max by (namespace, pod) ("
                    + pods(
                        "kube_pod_container_resource_limits",
                        'container="iot-producer",resource="cpu"',
                    )
                    + ")",
                    "{{pod}} limit",
                ),
            ),
            "Usage against the limit. Process is the parent alone; container is all of the pod.",
        ),
        Panel(
            "Time throttled, of all time",
            (
                Query(
                    "sum by (namespace, pod) (rate("
                    + pods("container_cpu_cfs_throttled_periods_total", 'container="iot-producer"')
                    + "[$__rate_interval])) / sum by (namespace, pod) (rate("
                    + pods("container_cpu_cfs_periods_total", 'container="iot-producer"')
                    + "[$__rate_interval]))",
                    "{{pod}}",
                ),
            ),
            "Share of the periods in which the processor limit was reached.",
            "percentunit",
        ),
        Panel(
            "Memory",
            (
                Query(
                    f"sum by (namespace, pod) ({pods('process_resident_memory_bytes')}) "
                    f"and {_OURS}",
                    "{{pod}} process",
                ),
                Query(
                    "sum by (namespace, pod) ("
                    + pods("container_memory_working_set_bytes", 'container="iot-producer"')
                    + ")",
                    "{{pod}} container",
                ),
                Query(
                    "max by (namespace, pod) ("
                    + pods(
                        "kube_pod_container_resource_limits",
                        'container="iot-producer",resource="memory"',
                    )
                    + ")",
                    "{{pod}} limit",
                ),
            ),
            "At the limit of its container a pod is killed (OOMKilled).",
            "bytes",
        ),
    ),
    folded=True,
)
