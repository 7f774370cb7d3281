"""TLS, tokens, rights and the proxy, all real, with the official client and the admin API."""

from __future__ import annotations

from pathlib import Path

import pytest
from pulsar_cases import Account, block, by_key, new_topic, sink, stored
from secured_pulsar import ADMIN, CLOSED_NAMESPACE, PRODUCER, STRANGER, SecuredPulsar

from iot_producer.errors import ConfigError, RefusedError, UnreachableError
from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig
from tls_cases import Authority

pytestmark = pytest.mark.integration


def sent_and_read(url: str, security: SecurityConfig, topic: str | None = None) -> None:
    """A block goes there and comes back."""
    topic = topic or new_topic()
    account = Account()
    with sink(url, topic, security=security, give_up_after_s=60.0) as to:
        account.send(to, block(0, 50))
        account.drain(to)
    (found,) = stored(url, topic, security=security).values()
    assert len(found) == 50
    assert by_key(found) == by_key(account.confirmed())


def failure(
    url: str, security: SecurityConfig, kind: type[Exception], topic: str | None = None
) -> str:
    with (
        pytest.raises(kind) as caught,
        sink(url, topic or new_topic(), security=security, give_up_after_s=0.0),
    ):
        pass
    error = caught.value
    assert error.hint  # type: ignore[attr-defined]
    if security.token:
        assert security.token not in f"{error} {error!r} {error.hint}"  # type: ignore[attr-defined]
    return f"{error} / {error.hint}"  # type: ignore[attr-defined]


def test_tls_by_address_and_by_name(tls_broker: SecuredPulsar) -> None:
    sent_and_read(tls_broker.tls_url, tls_broker.tls())
    sent_and_read(tls_broker.tls_url.replace("127.0.0.1", "localhost"), tls_broker.tls())
    assert PulsarAdmin(tls_broker.admin_tls_url, 60.0, tls_broker.tls()).is_ready()


def test_tls_with_the_wrong_authority_or_none(tls_broker: SecuredPulsar, tmp_path: Path) -> None:
    other = SecurityConfig(trust_store=Authority(tmp_path).trust_store, tls=True)
    for security in (other, SecurityConfig(tls=True)):
        said = failure(tls_broker.tls_url, security, RefusedError)
        assert "an authority that is not trusted" in said
        assert "PULSAR_TLS_TRUST_STORE" in said


def test_a_host_that_is_not_in_the_certificate(tls_broker: SecuredPulsar) -> None:
    # Another way to write the same address, which is not in the certificate.
    url = tls_broker.tls_url.replace("127.0.0.1", "127.1")
    said = failure(url, tls_broker.tls(), RefusedError)
    assert "is not for 127.1" in said
    assert "PULSAR_TLS_VERIFY_HOST=no" in said
    sent_and_read(url, tls_broker.tls(verify_host=False))


def test_tls_where_there_is_none(tls_broker: SecuredPulsar) -> None:
    url = tls_broker.url.replace("pulsar://", "pulsar+ssl://")
    said = failure(url, tls_broker.tls(), (RefusedError, UnreachableError))  # type: ignore[arg-type]
    assert "TLS" in said
    with pytest.raises(ConfigError, match="does not go with tls=True"):
        sink(tls_broker.url, new_topic(), security=tls_broker.tls()).__enter__()


def test_a_token_opens_what_its_role_may(token_broker: SecuredPulsar, tmp_path: Path) -> None:
    sent_and_read(token_broker.url, token_broker.token())
    sent_and_read(token_broker.tls_url, token_broker.tls(token=token_broker.mint.token(PRODUCER)))
    file = tmp_path / "token"
    file.write_text(token_broker.mint.token(PRODUCER, expires_in_s=60) + "\n")
    sent_and_read(token_broker.url, SecurityConfig(token_file=file))


def test_a_certificate_can_stand_for_a_role(token_broker: SecuredPulsar) -> None:
    mine = token_broker.authority.issue("me", common_name=PRODUCER)
    security = token_broker.tls(certificate=mine.certificate, key=mine.key)
    sent_and_read(token_broker.tls_url, security)


def test_who_has_no_right_is_refused(token_broker: SecuredPulsar) -> None:
    said = failure(token_broker.url, token_broker.token(STRANGER), RefusedError)
    assert "is not allowed" in said
    closed = new_topic(f"persistent://{CLOSED_NAMESPACE}")
    assert "is not allowed" in failure(
        token_broker.url, token_broker.token(PRODUCER), RefusedError, closed
    )


def test_who_is_not_known_is_refused(token_broker: SecuredPulsar) -> None:
    expired = token_broker.token(PRODUCER, expires_in_s=-5)
    for security in (NO_SECURITY, expired, SecurityConfig(token="not-a-token")):
        # The official client says no more than that it timed out.
        said = failure(token_broker.url, security, UnreachableError)
        assert "does it take the token?" in said


def test_the_admin_api_asks_for_the_token_too(token_broker: SecuredPulsar) -> None:
    assert token_broker.admin.is_ready()
    clusters = "/admin/v2/clusters/standalone"
    assert token_broker.admin.call("GET", clusters)["brokerServiceUrl"]
    with pytest.raises(AdminRefusedError) as caught:
        PulsarAdmin(token_broker.admin_url, 60.0).call("GET", clusters)
    assert (caught.value.status, "PULSAR_TOKEN" in caught.value.hint) == (401, True)
    stranger = PulsarAdmin(token_broker.admin_url, 60.0, token_broker.token(STRANGER))
    with pytest.raises(AdminRefusedError) as caught:
        stranger.call("GET", clusters)
    assert caught.value.status in (401, 403)
    assert token_broker.mint.token(ADMIN) not in repr(token_broker)


def test_the_proxy_passes_everything_on(pulsar_proxy: SecuredPulsar) -> None:
    sent_and_read(pulsar_proxy.url, NO_SECURITY)
    sent_and_read(pulsar_proxy.tls_url, pulsar_proxy.tls())
    assert PulsarAdmin(pulsar_proxy.admin_url, 60.0).is_ready()
