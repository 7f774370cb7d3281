"""The order of an examination: from the settings over the network to the broker and its policies.

Promise: whoever cannot be reached is not asked further, and what was not looked at is not called
fine. Nothing is sent to the topic, and nothing is changed. It must not print.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from iot_producer import figures
from iot_producer.destination import Destination
from iot_producer.doctor.broker import Topic, examine_broker
from iot_producer.doctor.findings import DoctorReport, Finding, Verdict
from iot_producer.doctor.network import examine_hosts
from iot_producer.doctor.policies import examine_policies
from iot_producer.doctor.this_machine import examine_machine
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.pulsar.connection import ConnectionConfig
from iot_producer.pulsar.security import SecurityConfig, read_token, token_expires_s

_NS_PER_S = 1_000_000_000
_SOON_S = 86_400


@dataclass(frozen=True, slots=True)
class DoctorConfig:
    """What to examine.

    Attributes:
        destination: a Pulsar topic.
        security: TLS and token.
        admin_url: the admin API.
        timeout_s: for one step.
        kernels_are_warm: whether the kernels are compiled.
    """

    destination: Destination
    security: SecurityConfig
    admin_url: str
    timeout_s: float = 5.0
    kernels_are_warm: bool = True


def examine(config: DoctorConfig) -> DoctorReport:
    """Look at everything that a run needs.

    Raises:
        ConfigError: a file of the security settings cannot be used.
    """
    now_s = time.time()
    findings = _token(config.security, now_s)
    findings += asyncio.run(
        examine_hosts(config.destination.hosts, config.security, config.timeout_s, now_s)
    )
    if not _is_lost(findings):
        found, topic = asyncio.run(_broker(config))
        findings += found
        if not _is_lost(findings):
            admin = PulsarAdmin(config.admin_url, config.timeout_s, config.security)
            name = config.destination.topic
            findings += examine_policies(admin, topic or Topic(name))
    findings += examine_machine(config.kernels_are_warm)
    return DoctorReport(config.destination.url, config.destination.topic, tuple(findings))


async def _broker(config: DoctorConfig) -> tuple[list[Finding], Topic | None]:
    connection = ConnectionConfig(
        config.destination.hosts,
        config.security,
        connect_timeout_s=config.timeout_s,
        operation_timeout_s=config.timeout_s,
    )
    return await examine_broker(connection, config.destination.topic)


def _is_lost(findings: list[Finding]) -> bool:
    return any(finding.verdict is Verdict.UNREACHABLE for finding in findings)


def _token(security: SecurityConfig, now_s: float) -> list[Finding]:
    """How long the token is good for, by its own word."""
    token = read_token(security)
    if not token:
        return []
    ends_s = token_expires_s(token)
    if ends_s is None:
        return [Finding("token", Verdict.OK, "does not say that it ends")]
    left_s = ends_s - now_s
    facts = {"seconds_left": round(left_s)}
    span = figures.duration(round(abs(left_s)) * _NS_PER_S)
    if left_s <= 0:
        remedy = "ask for a new one; or is this machine's clock ahead?"
        return [Finding("token", Verdict.HARM, f"has expired {span} ago", remedy, facts)]
    if left_s >= _SOON_S:
        return [Finding("token", Verdict.OK, f"ends in {span}", facts=facts)]
    if security.token_file is not None:
        remedy = f"replace it in {security.token_file} before that; a run reads it anew"
    else:
        remedy = "PULSAR_TOKEN cannot change while a run goes on: use PULSAR_TOKEN_FILE"
    return [Finding("token", Verdict.WARNING, f"ends in {span}", remedy, facts)]
