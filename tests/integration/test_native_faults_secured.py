"""Brokers that ask who somebody is, with and without TLS, and Pulsar's own proxy in front.

Who must not be let in is refused with exit code 3, at once, with a sentence that names the remedy;
who may produce does so, through a change of the token and through the proxy.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_cases import (
    assert_exactly_once,
    deduplicating_namespace,
    new_topic,
    patient_admin,
    producing,
    verified,
)
from secured_pulsar import CLOSED_NAMESPACE, PRODUCER, STRANGER, SecuredPulsar

from iot_producer.stack import StackStatus
from tls_cases import Authority

pytestmark = pytest.mark.integration

N = 3_000
RATE = 1_000


def assert_produces(folder: Path, url: str, topic: str, n: int = N, **env: str) -> None:
    with producing(folder, url, topic, messages=n, rate=RATE, **env) as run:
        run.completed()
    assert_exactly_once(verified(url, topic, run.report_file, **env), n)


def refusal(folder: Path, url: str, topic: str, **env: str) -> str:
    """What a run says that is not let in; it waits for nothing, and tells no token."""
    with producing(folder, url, topic, messages=N, **env) as run:
        assert run.program.end() == 3
    said = run.program.stderr()
    assert "Traceback" not in said
    assert "trying again" not in said
    assert "PULSAR_TOKEN" not in env or env["PULSAR_TOKEN"] not in said
    assert not run.report_file.exists()
    return said


def test_tls(tls_broker: SecuredPulsar, tmp_path: Path):
    store = str(tls_broker.authority.trust_store)
    assert_produces(tmp_path, tls_broker.tls_url, new_topic(), PULSAR_TLS_TRUST_STORE=store)


def test_an_authority_that_is_not_trusted(tls_broker: SecuredPulsar, tmp_path: Path):
    other = str(Authority(tmp_path).trust_store)
    said = refusal(tmp_path, tls_broker.tls_url, new_topic(), PULSAR_TLS_TRUST_STORE=other)
    assert "an authority that is not trusted" in said
    assert "PULSAR_TLS_TRUST_STORE" in said


def test_a_certificate_for_another_host(tls_broker: SecuredPulsar, tmp_path: Path):
    # Another way to write the same address, which is not in the certificate.
    url = tls_broker.tls_url.replace("127.0.0.1", "127.1")
    store = str(tls_broker.authority.trust_store)
    said = refusal(tmp_path, url, new_topic(), PULSAR_TLS_TRUST_STORE=store)
    assert "is not for 127.1" in said
    assert "PULSAR_TLS_VERIFY_HOST=no" in said


def test_a_token(token_broker: SecuredPulsar, tmp_path: Path):
    token = token_broker.mint.token(PRODUCER)
    assert_produces(tmp_path, token_broker.url, new_topic(), PULSAR_TOKEN=token)


def test_a_token_that_has_expired(token_broker: SecuredPulsar, tmp_path: Path):
    token = token_broker.mint.token(PRODUCER, expires_in_s=-5)
    said = refusal(tmp_path, token_broker.url, new_topic(), PULSAR_TOKEN=token)
    assert "Pulsar does not accept who this is" in said
    assert "PULSAR_TOKEN_FILE" in said


def test_somebody_without_rights(token_broker: SecuredPulsar, tmp_path: Path):
    for role, namespace in ((STRANGER, "public/default"), (PRODUCER, CLOSED_NAMESPACE)):
        token = token_broker.mint.token(role)
        topic = new_topic(namespace)
        said = refusal(tmp_path / role, token_broker.url, topic, PULSAR_TOKEN=token)
        assert "is not allowed" in said
        assert "ask for the right to produce" in said


def test_a_token_that_is_replaced_in_its_file_in_time(token_broker: SecuredPulsar, tmp_path: Path):
    file = tmp_path / "token"
    file.write_text(token_broker.mint.token(PRODUCER, expires_in_s=7))
    env = {"PULSAR_TOKEN_FILE": str(file)}
    topic = new_topic()
    with producing(
        tmp_path / "run", token_broker.url, topic, messages=5 * N, rate=RATE, **env
    ) as run:
        run.wait_for_confirmed(N // 3)
        file.write_text(token_broker.mint.token(PRODUCER, expires_in_s=300))
        report = run.completed()
    # The broker asks for the new one on the same connection: nobody waits for anything.
    assert report.latencies.response.max_ns < 3_000_000_000
    assert_exactly_once(verified(token_broker.url, topic, run.report_file, **env), 5 * N)


def test_a_token_that_expires_under_way_ends_the_run(token_broker: SecuredPulsar, tmp_path: Path):
    token = token_broker.mint.token(PRODUCER, expires_in_s=8)
    topic = new_topic()
    with producing(
        tmp_path, token_broker.url, topic, messages=None, rate=RATE, PULSAR_TOKEN=token
    ) as run:
        report = run.ended(3)
    assert "Pulsar does not accept who this is" in run.program.stderr()
    assert token not in run.program.stderr()
    assert report.tally.confirmed > 0
    valid = token_broker.mint.token(PRODUCER)
    found = verified(token_broker.url, topic, run.report_file, PULSAR_TOKEN=valid)
    assert found["ok"], found
    assert found["totals"]["found"] == report.tally.confirmed


@pytest.mark.parametrize("partitions", [0, 3])
def test_the_proxy_in_front_of_a_topic_that_moves(
    broker: StackStatus, pulsar_proxy: SecuredPulsar, tmp_path: Path, partitions: int
):
    admin = patient_admin(broker)
    topic = new_topic(deduplicating_namespace(admin))
    admin.create_topic(topic, partitions)
    with producing(tmp_path, pulsar_proxy.url, topic, messages=2 * N, rate=RATE) as run:
        run.wait_for_confirmed(N)
        admin.call("PUT", f"/admin/v2/{topic.replace('://', '/')}/unload")
        run.completed()
    assert_exactly_once(verified(pulsar_proxy.url, topic, run.report_file), 2 * N)


def test_a_token_through_the_proxy(token_proxy: SecuredPulsar, tmp_path: Path):
    token = token_proxy.mint.token(PRODUCER)
    assert_produces(tmp_path / "may", token_proxy.url, new_topic(), PULSAR_TOKEN=token)
    stranger = token_proxy.mint.token(STRANGER)
    said = refusal(tmp_path / "may not", token_proxy.url, new_topic(), PULSAR_TOKEN=stranger)
    assert "is not allowed" in said
