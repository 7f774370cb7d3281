"""Write ``prometheus-rule.yaml``: the rules of ``alerts.yaml`` for the Prometheus Operator.

Promise: the same rules, letter by letter, but for their indentation. A test fails when the two
files differ in anything else.

    .venv/bin/python deploy/monitoring/prometheus_rule.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
HEAD: Final = """\
# Generated from alerts.yaml by prometheus_rule.py; do not edit. For clusters with the Prometheus
# Operator: kubectl apply -f. If its Prometheus selects rules by a label (kube-prometheus-stack:
# release), add that label.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: iot-producer
  namespace: iot-pipeline
  labels:
    app: iot-producer
spec:
"""


def prometheus_rule() -> str:
    """The object as YAML."""
    rules = (HERE / "alerts.yaml").read_text(encoding="utf-8")
    groups = rules[rules.index("groups:\n") :]
    return HEAD + "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(True))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "prometheus-rule.yaml"
    target.write_text(prometheus_rule(), encoding="utf-8")
