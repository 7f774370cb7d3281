"""``verify --follow`` beside a real run."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from program import PROGRAM, environment, run
from pulsar_cases import new_topic

from iot_producer.stack import StackStatus

pytestmark = pytest.mark.integration

PATIENCE_S = 120


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "verify", "--follow", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def where(broker: StackStatus, topic: str) -> tuple[str, ...]:
    return ("--pulsar-url", broker.pulsar_url, "--topic", topic)


def test_a_run_is_followed_until_its_report_and_verified_then(
    broker: StackStatus, tmp_path: Path
) -> None:
    topic, report = new_topic(), tmp_path / "run.json"
    place = (*where(broker, topic), "--report", str(report))
    follower = start(*place, "--json")
    try:
        produced = run("run", *place, "--rate", "1000", "--duration", "8s", "--quiet")
        assert produced.returncode == 0, produced.stderr
        out, err = follower.communicate(timeout=PATIENCE_S)
    finally:
        follower.kill()
    assert follower.returncode == 0, err
    result = json.loads(out)
    assert result["totals"]["found"] == 8_000
    followed = result["follow"]
    assert 0 < followed["n_read"] <= 8_000
    latency = followed["latency"]
    assert latency["n"] == followed["n_read"] - followed["n_early"]
    assert 0 < latency["min_ns"] < latency["max_ns"] < 60e9


def test_ctrl_c_ends_it_with_what_was_seen(broker: StackStatus) -> None:
    topic = new_topic()
    follower = start(*where(broker, topic))
    try:
        produced = run(
            "run", *where(broker, topic), "--rate", "500", "--duration", "12s", "--quiet"
        )
        assert produced.returncode == 0, produced.stderr
        follower.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=PATIENCE_S)
    finally:
        follower.kill()
    assert follower.returncode == 0, err
    assert out.startswith("followed for ")
    assert "intended → read   p50 " in out
    assert "Traceback" not in err


def test_silence_ends_it(broker: StackStatus) -> None:
    topic = new_topic()
    follower = start(*where(broker, topic), "--idle", "1s", "--json")
    try:
        produced = run(
            "run", *where(broker, topic), "--rate", "500", "--duration", "12s", "--quiet"
        )
        assert produced.returncode == 0, produced.stderr
        began_s = time.monotonic()
        out, err = follower.communicate(timeout=PATIENCE_S)
        assert time.monotonic() - began_s < 30
    finally:
        follower.kill()
    assert follower.returncode == 0, err
    assert json.loads(out)["follow"]["n_read"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--client", "official"), "--follow needs the native client"),
        (("--from", "records.jsonl"), "records.jsonl cannot be followed"),
    ],
)
def test_what_cannot_be_followed(
    arguments: tuple[str, ...], message: str, broker: StackStatus
) -> None:
    done = run("verify", "--follow", *where(broker, new_topic()), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
