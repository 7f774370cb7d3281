"""Dashboard, alerts and runbooks: they are what their generators write, Prometheus accepts them,
and each alert fires when it must and not when it nearly must."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from monitoring_files import (
    MONITORING,
    RUNBOOKS,
    alert_rules,
    dashboard,
    expressions,
    names_in,
    panels,
)

from iot_producer.metrics.catalogue import METRICS
from needed import needed_package

pytestmark = pytest.mark.deploy


def promtool(*arguments: str, cwd: Path = MONITORING) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [needed_package("promtool", "prometheus"), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("generator", "name"),
    [("dashboard.py", "dashboard.json"), ("prometheus_rule.py", "prometheus-rule.yaml")],
)
def test_what_is_generated_is_what_the_generator_writes(
    tmp_path: Path, generator: str, name: str
) -> None:
    fresh = tmp_path / name
    subprocess.run([sys.executable, MONITORING / generator, fresh], check=True)
    assert fresh.read_text() == (MONITORING / name).read_text(), f"run {generator} again"


def test_the_operators_rules_are_the_alerts(tmp_path: Path) -> None:
    _, spec = (MONITORING / "prometheus-rule.yaml").read_text().split("spec:\n")
    (tmp_path / "rules.yaml").write_text(re.sub(r"^  ", "", spec, flags=re.M))
    assert (MONITORING / "alerts.yaml").read_text().endswith((tmp_path / "rules.yaml").read_text())
    checked = promtool("check", "rules", "rules.yaml", cwd=tmp_path)
    assert f"{len(alert_rules())} rules found" in checked.stdout
    assert checked.returncode == 0


def test_prometheus_accepts_its_configuration() -> None:
    checked = promtool("check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stderr
    assert f"SUCCESS: {len(alert_rules())} rules found" in checked.stdout


def test_compose_has_what_prometheus_and_grafana_are_told_of() -> None:
    compose = (MONITORING.parent / "docker" / "compose.yaml").read_text()
    services = set(re.findall(r"^  ([a-z-]+):$", compose, flags=re.M))
    config = (MONITORING / "prometheus.yml").read_text()
    named = re.findall(r"names: \[(\S+)\]|targets: \['(\S+):\d+'\]", config)
    assert {"".join(pair) for pair in named} - {"localhost"} == {"iot-producer", "pulsar"}
    assert {"iot-producer", "pulsar", "prometheus"} <= services
    provisioning = MONITORING / "grafana" / "provisioning"
    assert (
        "url: http://prometheus:9090"
        in (provisioning / "datasources" / "prometheus.yaml").read_text()
    )
    (folder,) = re.findall(
        r"path: (\S+)", (provisioning / "dashboards" / "iot-producer.yaml").read_text()
    )
    assert f"../monitoring/dashboard.json:{folder}/" in compose
    assert "../monitoring/grafana/provisioning:/etc/grafana/provisioning:" in compose


def test_alerts_fire_when_they_must_and_only_then() -> None:
    tested = promtool("test", "rules", "alerts_test.yaml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("alert", "right", "wrong"),
    [
        ("IotProducerBelowTarget", "0.98 *", "0.97 *"),
        ("IotProducerBelowTarget", "0.98 *", "0.99 *"),
        ("IotProducerBelowTarget", "offset 5m > 0", "> 0"),
        ("IotProducerLagGrowing", "_seconds > 5", "_seconds > 0"),
        ("IotProducerLagGrowing", "> 0.005", ">= 0"),
        ("IotProducerNotReady", "for: 2m", "for: 0m"),
        ("IotProducerDown", "up and on", "up{job='x'} and on"),
        ("IotProducerFailures", "increase(", "max_over_time("),
        ("IotProducerNotSent", "increase(", "max_over_time("),
        ("IotProducerDuplicatesPossible", "[15m]", "[1m]"),
        ("IotProducerRestarted", '{container="iot-producer"}', ""),
        ("IotProducerAbsent", "_replicas{deployment=", "_replicas{other="),
    ],
)
def test_the_tests_of_the_alerts_can_fail(
    tmp_path: Path, alert: str, right: str, wrong: str
) -> None:
    rules = (MONITORING / "alerts.yaml").read_text()
    rule = alert_rules()[alert]
    assert right in rule
    (tmp_path / "alerts.yaml").write_text(rules.replace(rule, rule.replace(right, wrong)))
    (tmp_path / "alerts_test.yaml").write_text((MONITORING / "alerts_test.yaml").read_text())
    tested = promtool("test", "rules", "alerts_test.yaml", cwd=tmp_path)
    assert tested.returncode == 1
    assert alert in tested.stdout + tested.stderr


def test_each_alert_is_tested_both_ways() -> None:
    text = (MONITORING / "alerts_test.yaml").read_text()
    tried = re.findall(r"alertname: (\w+)\n +exp_alerts:( \[\])?", text)
    both = {(alert, is_silent) for alert in alert_rules() for is_silent in ("", " []")}
    assert set(tried) == both


def test_each_alert_says_how_bad_it_is_and_links_to_its_page() -> None:
    for alert, rule in alert_rules().items():
        assert re.search(r"severity: (critical|warning)\n", rule), alert
        assert 'summary: "' in rule, alert
        assert "description: >-" in rule, alert
        assert f'}}docs/runbooks/{alert}.md"' in rule


def test_each_page_is_of_an_alert_and_says_what_it_must() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == set(alert_rules())
    headings = ["## What it means", "## How to look", "## Causes and remedies"]
    for page in RUNBOOKS.glob("*.md"):
        text = page.read_text()
        assert text.startswith(f"# {page.stem}\n"), page
        assert [line for line in text.splitlines() if line.startswith("## ")] == headings, page


def test_every_metric_of_the_producer_that_is_named_exists() -> None:
    known = {metric.name for metric in METRICS}
    histograms = {metric.name for metric in METRICS if metric.type == "histogram"}
    known |= {name + end for name in histograms for end in ("_bucket", "_sum", "_count")}
    texts = [*expressions(), *alert_rules().values()]
    texts += [page.read_text() for page in RUNBOOKS.glob("*.md")]
    texts += [(MONITORING / "alerts_test.yaml").read_text()]
    named = {name for text in texts for name in names_in(text) if name.startswith("iot_producer_")}
    assert named - known == set()
    shown = {name for text in expressions() for name in names_in(text)}
    histogram_parts = {name for name in known - shown if name.endswith(("_sum", "_count"))}
    assert known - shown - histogram_parts == histograms  # the dashboard leaves nothing out


def test_the_names_of_clickhouse_are_those_of_its_engine() -> None:
    import chdb  # takes a second, and would take it whenever tests are collected

    named = {name for expr in expressions() for name in names_in(expr)}
    every = "SETTINGS system_events_show_zero_values = 1"
    known = set()
    for column, table, prefixes in (
        ("event", f"system.events {every}", ("ClickHouseProfileEvents_", "chi_clickhouse_event_")),
        ("metric", "system.metrics", ("ClickHouseMetrics_", "chi_clickhouse_metric_")),
    ):
        found = str(chdb.query(f"SELECT {column} FROM {table}", "TSV")).split()
        known |= {prefix + name for prefix in prefixes for name in found}
    ours = {name for name in named if name.startswith(("ClickHouse", "chi_clickhouse_"))}
    assert len(ours) == 13
    # A table of the exporter of the operator, which the engine does not know.
    assert ours - known == {"chi_clickhouse_table_parts_rows"}


def test_panels_have_a_place_of_their_own() -> None:
    board = dashboard()
    drawn = [panel for panel in board["panels"] if panel["type"] != "row"]
    for one, other in combinations(drawn, 2):
        assert not _overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])
    ids = [panel["id"] for panel in [*board["panels"], *panels()] if "id" in panel]
    assert len(set(ids)) == len(panels()) + len([p for p in board["panels"] if p["type"] == "row"])
    for panel in panels():
        assert panel["description"], panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_the_dashboard_has_its_variables() -> None:
    variables = {each["name"]: each for each in dashboard()["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "pod", "topic", "flink_job"]
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["topic"]["query"] == "persistent://public/default/iot-sensor-data"
    used = {name for expr in expressions() for name in re.findall(r"\$(\w+)", expr)}
    assert used == {"namespace", "pod", "topic", "flink_job", "__rate_interval", "__range"}


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )
