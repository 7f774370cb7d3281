"""From here to a port, with real sockets on the loopback address."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from iot_producer.doctor.findings import Finding, Verdict
from iot_producer.doctor.network import examine_hosts
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig
from tls_cases import Authority

DAY_S = 86_400


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@contextmanager
def listening(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port that accepts connections, and shakes hands where there is a context."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(OSError):
                    connection, _ = listener.accept()
                    connection.settimeout(10)
                    with connection:
                        if context is not None:
                            with context.wrap_socket(connection, server_side=True) as secured:
                                secured.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()


def look(
    *hosts: tuple[str, int], security: SecurityConfig = NO_SECURITY, now_s: float = 0.0
) -> list[Finding]:
    return asyncio.run(examine_hosts(hosts, security, 10.0, now_s))


def kinds(findings: list[Finding]) -> list[tuple[str, Verdict]]:
    return [(finding.check, finding.verdict) for finding in findings]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_port_that_accepts() -> None:
    with listening() as port:
        (finding,) = look(("127.0.0.1", port))
    assert finding.check == "connect"
    assert finding.text.startswith(f"127.0.0.1:{port} accepts connections, in ")
    assert finding.facts["address"] == "127.0.0.1"


def test_a_name_is_shown_with_its_address() -> None:
    with listening() as port:
        (finding,) = look(("127.1", port))
    assert finding.text.endswith(", at 127.0.0.1")


def test_one_of_several_hosts_is_enough() -> None:
    gone = free_port()
    with listening() as port:
        findings = look(("127.0.0.1", gone), ("no.invalid", 6650), ("127.0.0.1", port))
    assert [verdict for _, verdict in kinds(findings)[:2]] == [Verdict.WARNING, Verdict.WARNING]
    assert findings[0].text == f"nobody listens on 127.0.0.1:{gone}"
    assert findings[1].text == "the host 'no.invalid' does not resolve"
    assert findings[2].check == "connect"


def test_none_of_several_hosts() -> None:
    findings = look(("127.0.0.1", free_port()), ("no.invalid", 6650))
    assert kinds(findings) == [
        ("connect", Verdict.UNREACHABLE),
        ("resolve", Verdict.UNREACHABLE),
    ]
    assert all(finding.remedy for finding in findings)


def serving(authority: Authority) -> ssl.SSLContext:
    pem = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem.certificate, pem.key)
    return context


def test_tls_tells_how_long_the_certificate_is_good_for(authority: Authority) -> None:
    security = SecurityConfig(trust_store=authority.trust_store, tls=True)
    with listening(serving(authority)) as port:
        _, fine = look(("127.0.0.1", port), security=security)
        days = fine.facts["days_left"]
        assert isinstance(days, int)
        assert days > 1000
        soon_s = float((days - 3) * DAY_S)
        _, soon = look(("127.0.0.1", port), security=security, now_s=soon_s)
    assert (fine.check, fine.verdict) == ("tls", Verdict.OK)
    assert "host name and authority" in fine.text
    assert (soon.verdict, soon.facts["days_left"]) == (Verdict.WARNING, 3)
    assert "valid for 3 more days" in soon.text
    assert "renew" in soon.remedy


def test_tls_that_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    other = SecurityConfig(trust_store=Authority(tmp_path, "x").trust_store, tls=True)
    with listening(serving(authority)) as port:
        findings = look(("127.0.0.1", port), security=other)
    assert findings[-1].verdict is Verdict.UNREACHABLE
    assert "PULSAR_TLS_TRUST_STORE" in findings[-1].remedy
