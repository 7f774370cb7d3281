"""Measures what docs/explanation/image.md says; not a test. As root, from the repository's root:

IOT_TEST_STORE=DIRECTORY .venv/bin/python tests/deploy/measure_image.py

The image is built and run with podman under the limits of the manifest, against a Pulsar on this
machine. CPU is that of the container's cgroup; what else runs here is said beside it.
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from containers import BASE, IMAGE, Store, asked, sample, until
from prometheus_server import free_port

from iot_producer.stack import StackConfig, default_cache_dir, down, up

LIMITS = ("--cpus=1", "--memory=512m")
LINGER = "10ms"
"""As the manifest has them."""
CONFIRMED = "iot_producer_confirmed_messages_total"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(os.environ.get("IOT_TEST_STORE") or f"{folder}/store"))
        if not store.has(BASE):
            store.make_base()
        store.build(IMAGE)
        sizes = store.compressed_bytes(IMAGE)
        layers = ", ".join(f"{each / 1e6:.1f}" for each in sizes)
        print(f"layers, compressed: {layers}; together {sum(sizes) / 1e6:.1f} MB", flush=True)
        config = StackConfig(Path(folder), default_cache_dir(os.environ), deduplication=True)
        try:
            url = up(config).pulsar_url
            start_up(store, url)
            for rate, seconds in (("1000", 60), ("5000", 60), ("50k", 30), ("max", 30)):
                steady(store, url, rate, seconds)
        finally:
            down(config, purge=True)


def start_up(store: Store, url: str) -> None:
    """From the container's start to the end of a run of one message: it is confirmed then."""
    found = []
    for _ in range(6):
        arguments = (*LIMITS, f"--env=PULSAR_URL={url}", "--env=IOT_PRODUCER_METRICS=off")
        with store.running(*arguments, command=("run", "--messages", "1")) as container:
            assert container.end() == 0
            end = container.events()[-1]
            started = datetime.fromisoformat(
                container.state()["State"]["StartedAt"][:26] + "+00:00"
            )
            found.append((datetime.fromisoformat(end["time"]) - started).total_seconds())
            assert end["confirmed"] == 1
    first, *others = found
    print(
        f"start to confirmed: first {first:.2f} s, then median {median(others):.2f} s, "
        f"{min(others):.2f} to {max(others):.2f} ({others_here()})",
        flush=True,
    )


def steady(store: Store, url: str, rate: str, seconds: int) -> None:
    """CPU, memory and rate once it runs; then SIGTERM."""
    port = free_port()
    variables = {
        "PULSAR_URL": url,
        "PULSAR_TOPIC": f"persistent://public/default/measured-{rate}",
        "MESSAGES_PER_SECOND": rate,
        "IOT_PRODUCER_LINGER": LINGER,
        "IOT_PRODUCER_METRICS": f"127.0.0.1:{port}",
    }
    env = [f"--env={name}={value}" for name, value in variables.items()]
    with store.running(*LIMITS, *env) as container:
        until("messages are confirmed", lambda: confirmed(port) > 2_000)
        time.sleep(3)
        n, cpu_s, at = confirmed(port), container.cpu_s(), time.monotonic()
        busy_s = machine_busy_s()
        time.sleep(seconds)
        n, cpu_s = confirmed(port) - n, container.cpu_s() - cpu_s
        took_s = time.monotonic() - at
        others = (machine_busy_s() - busy_s - cpu_s) / took_s
        peak = container.most_bytes()
        page = asked(port, "/metrics")[1]
        lag_s = sample(page, "iot_producer_lag_now_seconds")
        asked_at = time.monotonic()
        code = container.stop()
        stop_s = time.monotonic() - asked_at
        end: dict[str, Any] = container.events()[-1]
    print(
        f"{rate}: {n / took_s:,.0f} msg/s, {cpu_s / took_s:.3f} of a core, "
        f"{cpu_s / n * 1e6:.1f} CPU s a million, memory {peak / 2**20:.0f} MiB at most, "
        f"lag {lag_s * 1e3:.1f} ms, response p99 {end['response_p99_ms']:.1f} ms; "
        f"SIGTERM: exit {code} after {stop_s:.2f} s, unconfirmed "
        f"{end['unconfirmed']}, not sent {end['not_sent']} (all else here: {others:.2f} cores)",
        flush=True,
    )


def confirmed(port: int) -> float:
    """Messages so far."""
    status, page = asked(port, "/metrics")
    return sample(page, CONFIRMED) if status == 200 else 0.0


def machine_busy_s() -> float:
    """CPU seconds of everything on this machine."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft, *_ = map(int, fields)
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def others_here() -> str:
    """The load of this machine."""
    return f"{os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
