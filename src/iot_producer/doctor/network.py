"""From here to the broker's port: name, TCP, TLS.

Promise: each host of the URL is tried by itself, so that one that does not answer is named though
another does; sockets are closed again. It must not know Pulsar's protocol.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final

from iot_producer import figures
from iot_producer.doctor.findings import Finding, Verdict, failed
from iot_producer.errors import DestinationError
from iot_producer.pulsar.channel import connect
from iot_producer.pulsar.security import SecurityConfig, ssl_context

_S_PER_DAY: Final = 86_400
_SOON_DAYS: Final = 14
_SLOW_NS: Final = 50_000_000
_UP: Final = "check PULSAR_URL, and that the broker is up (on this machine: iot-producer stack up)"
_NAME: Final = "check PULSAR_URL; inside Kubernetes a Service is service.namespace.svc"


@dataclass(frozen=True, slots=True)
class HostFindings:
    """One host of the URL.

    Attributes:
        findings: what was found; the last one is the failure, if it failed.
        is_reachable: whether a connection could be made, with TLS if that was asked for.
    """

    findings: tuple[Finding, ...]
    is_reachable: bool


async def examine_hosts(
    hosts: tuple[tuple[str, int], ...], security: SecurityConfig, timeout_s: float, now_s: float
) -> list[Finding]:
    """Findings about all hosts of a URL, in their order.

    Args:
        hosts: (host, port) pairs.
        security: whether and how there is TLS.
        timeout_s: for one connection, and again for its handshake.
        now_s: the time, seconds since the epoch.

    Returns:
        Findings; one is `Verdict.UNREACHABLE` only if no host could be reached.
    """
    found = await asyncio.gather(
        *(_examine_host(host, port, security, timeout_s, now_s) for host, port in hosts)
    )
    findings = [finding for host in found for finding in host.findings]
    if any(host.is_reachable for host in found):
        return findings
    return [
        Finding(f.check, Verdict.UNREACHABLE, f.text, f.remedy, f.facts)
        if f.verdict is Verdict.WARNING and f.check in ("resolve", "connect", "tls")
        else f
        for f in findings
    ]


async def _examine_host(
    host: str, port: int, security: SecurityConfig, timeout_s: float, now_s: float
) -> HostFindings:
    where = f"{host}:{port}"
    began_ns = time.perf_counter_ns()
    try:
        connected = await connect(host, port, None, timeout_s)
    except DestinationError as error:
        is_name = isinstance(error.__cause__, socket.gaierror)
        check, remedy = ("resolve", _NAME) if is_name else ("connect", _UP)
        finding = Finding(check, Verdict.WARNING, error.message, error.hint or remedy)
        return HostFindings((finding,), is_reachable=False)
    took_ns = time.perf_counter_ns() - began_ns
    address = connected.getpeername()[0]
    connected.close()
    findings = [_connected(where, address, took_ns)]
    context = ssl_context(security)
    if context is None:
        return HostFindings(tuple(findings), is_reachable=True)
    try:
        secured = await connect(host, port, context, timeout_s)
    except DestinationError as error:
        findings.append(failed("tls", Verdict.WARNING, error))
        return HostFindings(tuple(findings), is_reachable=False)
    assert isinstance(secured, ssl.SSLSocket)
    findings.append(_secured(where, secured, security, now_s))
    secured.close()
    return HostFindings(tuple(findings), is_reachable=True)


def _connected(where: str, address: str, took_ns: int) -> Finding:
    told = f"{where} accepts connections, in {figures.latency(took_ns)}"
    if not where.startswith((address, f"[{address}")):
        told += f", at {address}"
    facts = {"host": where, "address": address, "connect_ns": took_ns}
    if took_ns <= _SLOW_NS:
        return Finding("connect", Verdict.OK, told, facts=facts)
    remedy = "response times will not be below that; run nearer to the broker if they matter"
    return Finding("connect", Verdict.NOTE, told, remedy, facts)


def _secured(where: str, secured: ssl.SSLSocket, security: SecurityConfig, now_s: float) -> Finding:
    certificate = secured.getpeercert() or {}
    ends_s = ssl.cert_time_to_seconds(str(certificate.get("notAfter", "")))
    days = int((ends_s - now_s) // _S_PER_DAY)
    checked = "host name and authority" if security.verify_host else "authority only"
    text = (
        f"{where} speaks {secured.version()}; its certificate was checked ({checked}) and is valid "
        f"for {figures.plural(days, 'more day', 'more days')}"
    )
    facts = {"host": where, "version": secured.version(), "days_left": days}
    if days < _SOON_DAYS:
        remedy = "renew the broker's certificate: when it has expired, nobody can connect any more"
        return Finding("tls", Verdict.WARNING, text, remedy, facts)
    return Finding("tls", Verdict.OK, text, facts=facts)
