"""What is in deploy/monitoring: the dashboard's expressions, the alerts, the names of metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RUNBOOKS = ROOT / "docs" / "runbooks"
METRIC = re.compile(
    r"\b(?:iot_producer|pulsar|process|container|kube|flink|chi_clickhouse)_\w+"
    r"|\bClickHouse\w+_\w+|\bup\b"
)
NOT_HERE = ("container_", "kube_", "flink_", "chi_clickhouse_", "ClickHouse")
"""Prefixes of metrics of services that are not to be had on one machine."""


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana gets it."""
    return dict(json.loads((MONITORING / "dashboard.json").read_text()))


def panels() -> list[dict[str, Any]]:
    """All panels that draw something, those in folded rows too."""
    found: list[dict[str, Any]] = []
    for panel in dashboard()["panels"]:
        found += panel["panels"] if panel["type"] == "row" else [panel]
    return found


def expressions() -> list[str]:
    """All expressions of the dashboard, as they stand there."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def alert_rules() -> dict[str, str]:
    """The text of each rule in alerts.yaml, by the name of its alert."""
    _, *rules = re.split(r"^ +- alert: ", (MONITORING / "alerts.yaml").read_text(), flags=re.M)
    return {rule.split()[0]: rule for rule in rules}


def runbook_queries() -> list[str]:
    """All lines of PromQL in the pages of the alerts."""
    blocks = [
        block
        for page in sorted(RUNBOOKS.glob("*.md"))
        for block in re.findall(r"^```promql\n(.*?)^```$", page.read_text(), flags=re.M | re.S)
    ]
    return [line for block in blocks for line in block.splitlines()]


def names_in(text: str) -> set[str]:
    """The metrics that a text names."""
    return set(METRIC.findall(text))


def is_to_be_had(expr: str) -> bool:
    """Whether the producer and a broker alone make it return something."""
    return not any(name.startswith(NOT_HERE) for name in names_in(expr))
