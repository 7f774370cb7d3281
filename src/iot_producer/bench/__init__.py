"""How fast each stage is on this machine: `run_bench`, and its results as text and files.

Promise: CPU seconds per million records, of every process and thread of a stage, next to a
reference that is measured in the same run. It must not know how stages work inside.
"""

from iot_producer.bench.bench_options import STAGES, BenchOptions, parse_stages
from iot_producer.bench.bench_report import BenchReport
from iot_producer.bench.rendering import markdown, render, write_results
from iot_producer.bench.suite import run_bench

__all__ = [
    "STAGES",
    "BenchOptions",
    "BenchReport",
    "markdown",
    "parse_stages",
    "render",
    "run_bench",
    "write_results",
]
