"""The view of a run that monitoring systems look at: its metrics and its health, over HTTP.

Promise: it answers from the moment it is made, before anything is connected, until it is closed;
drawing keeps the snapshot and no more. It must not know workers or the broker.
"""

from __future__ import annotations

import platform
from http import HTTPStatus

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from iot_producer import __version__
from iot_producer.blocks import DATA_VERSION
from iot_producer.clock import Clock
from iot_producer.destination import Scheme
from iot_producer.metrics.collector import RunCollector, RunFacts
from iot_producer.metrics.health import Health, Verdict
from iot_producer.metrics.server import Page, PageServer
from iot_producer.report import RunReport
from iot_producer.run_config import RunConfig
from iot_producer.schedule import MaxRate
from iot_producer.snapshot import Snapshot


class MetricsView:
    """Serves ``/metrics``, ``/healthz`` and ``/readyz``; see view.View.

    Args:
        where: host and port to listen on.
        config: the run.
        clock: the time.

    Raises:
        ConfigError: the address cannot be listened on.
    """

    def __init__(self, where: tuple[str, int], config: RunConfig, clock: Clock) -> None:
        self._health = Health(clock)
        self._newest: Snapshot | None = None
        # Of its own: what else a process registers globally is no concern of a run.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(RunCollector(facts_of(config), lambda: self._newest, self._health))
        ProcessCollector(registry=self._registry)
        pages = {
            "/metrics": self._metrics,
            "/healthz": lambda _: _verdict(self._health.alive()),
            "/readyz": lambda _: _verdict(self._health.ready()),
        }
        origins = [source.origin for source in config.sources if source.name == "--metrics"]
        self._server = PageServer(where, pages, *origins)

    @property
    def url(self) -> str:
        """Where it serves, without a path."""
        return self._server.url

    def say(self, level: str, text: str) -> None:
        """News are for those who read."""

    def beat(self) -> None:
        """The run is alive."""
        self._health.beat()

    def draw(self, snapshot: Snapshot) -> None:
        """Keep the snapshot until somebody asks."""
        self._newest = snapshot
        self._health.see(snapshot)

    def close(self, report: RunReport | None) -> None:
        """Answer no more."""
        self._health.end()
        self._server.close()

    def _metrics(self, accept: str) -> Page:
        encoder, content_type = choose_encoder(accept)
        return Page(encoder(self._registry), content_type=content_type)


def facts_of(config: RunConfig) -> RunFacts:
    """What is known of a run before it begins."""
    is_pulsar = config.destination.scheme is Scheme.PULSAR
    schedule = config.schedule
    target_per_s = 0.0
    if not isinstance(schedule, MaxRate):
        target_per_s = float(schedule.rate_at(0) / config.n_shards)
    return RunFacts(
        (
            __version__,
            str(DATA_VERSION),
            config.client if is_pulsar else "none",
            config.compression if is_pulsar else "none",
            platform.python_version(),
        ),
        config.workers,
        target_per_s,
    )


def _verdict(verdict: Verdict) -> Page:
    status = HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(f"{verdict.why}\n".encode(), status)
