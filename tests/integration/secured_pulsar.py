"""Secured Pulsar for tests: TLS, tokens with authorization, and the distribution's own proxy.

All real, on the loopback address, with bounded memory, ended by their process ids. The fixtures
``tls_broker``, ``token_broker`` and ``pulsar_proxy`` (conftest.py) start them when first used.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig
from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, distribution, down, up
from iot_producer.stack.java import find_java
from iot_producer.stack.ports import LOOPBACK, choose, not_on_loopback
from iot_producer.stack.process import (
    exit_code,
    inherited_environment,
    listening_addresses,
    spawn,
    terminate,
)
from tls_cases import Authority, Pem

ADMIN = "admin"
"""May do everything."""
PRODUCER = "producer"
"""May produce and consume in public/default, and nowhere else."""
STRANGER = "stranger"
"""Is known and may do nothing."""
CLOSED_NAMESPACE = "public/closed"
"""A namespace in which `PRODUCER` has no rights."""
_PROXY = "proxy"

_AUTHENTICATION = "org.apache.pulsar.broker.authentication.AuthenticationProvider"
_CLIENT_TOKEN = "org.apache.pulsar.client.impl.auth.AuthenticationToken"
_PROXY_READY_S = 120.0
_ADMIN_S = 60.0  # the first answer of a cold broker, on a machine with much else to do


class TokenMint:
    """Signs tokens: JSON Web Tokens with HMAC-SHA256.

    Attributes:
        key: the secret that the broker checks them with.
    """

    def __init__(self) -> None:
        self.key = secrets.token_bytes(32)

    def token(self, role: str, expires_in_s: float | None = None) -> str:
        """A token of a role.

        Args:
            role: who its bearer is.
            expires_in_s: from now; negative: it has expired; None: it never does.
        """
        claims: dict[str, Any] = {"sub": role}
        if expires_in_s is not None:
            claims["exp"] = round(time.time() + expires_in_s)
        body = f"{_part({'alg': 'HS256'})}.{_part(claims)}"
        return f"{body}.{_encoded(hmac.digest(self.key, body.encode(), hashlib.sha256))}"


@dataclass(frozen=True, slots=True)
class SecuredPulsar:
    """A broker or a proxy that is up.

    Attributes:
        url, tls_url: for clients, ``pulsar://…`` and ``pulsar+ssl://…``.
        admin_url, admin_tls_url: the admin API, ``http://…`` and ``https://…``.
        authority: issued the certificate of the server; also trusted for those of clients.
        mint: makes tokens that it takes; of no use where it asks for none.
        config: of the stack; None for a proxy.
        status: of the stack; None for a proxy.
    """

    url: str
    tls_url: str
    admin_url: str
    admin_tls_url: str
    authority: Authority
    mint: TokenMint = field(repr=False)
    config: StackConfig | None = None
    status: StackStatus | None = None

    def tls(self, **changes: Any) -> SecurityConfig:
        """What a client needs for `tls_url`; ``changes`` are attributes of `SecurityConfig`."""
        return SecurityConfig(**{"trust_store": self.authority.trust_store, "tls": True, **changes})

    def token(self, role: str = PRODUCER, expires_in_s: float | None = None) -> SecurityConfig:
        """What a client with a token needs for `url`."""
        return SecurityConfig(token=self.mint.token(role, expires_in_s))

    @property
    def admin(self) -> PulsarAdmin:
        """The admin API, as one who may do everything."""
        return PulsarAdmin(self.admin_url, _ADMIN_S, self.token(ADMIN))


def tls_settings(authority: Authority, server: Pem, tls_port: int, web_port: int) -> dict[str, str]:
    """Settings of a broker or a proxy for listeners with TLS; a client may show a certificate."""
    return {
        "tlsCertificateFilePath": str(server.certificate),
        "tlsKeyFilePath": str(server.key),
        "tlsTrustCertsFilePath": str(authority.trust_store),
        "webServicePortTls": str(web_port),
        # Without them Java's own TLS is used: the native ones are for some platforms only.
        "webServiceTlsProvider": "",
    }


def token_settings(mint: TokenMint) -> dict[str, str]:
    """Settings of a broker that wants to know who asks, and gives rights to roles."""
    key = base64.b64encode(mint.key).decode()
    return {
        "authenticationEnabled": "true",
        "authenticationProviders": f"{_AUTHENTICATION}Token,{_AUTHENTICATION}Tls",
        "tokenSecretKey": f"data:;base64,{key}",
        "authorizationEnabled": "true",
        "superUserRoles": ADMIN,
        "proxyRoles": _PROXY,
        "brokerClientAuthenticationPlugin": _CLIENT_TOKEN,
        "brokerClientAuthenticationParameters": f"token:{mint.token(ADMIN)}",
        # A connection learns within seconds that its token has expired.
        "authenticationRefreshCheckSeconds": "2",
    }


@contextmanager
def secured_broker(
    folder: Path, *, tokens: bool, extra: Mapping[str, str] | None = None, **settings: Any
) -> Iterator[SecuredPulsar]:
    """A broker with TLS beside its plain listener.

    Args:
        folder: an empty one for its data.
        tokens: whether it asks who somebody is (token, or on TLS a certificate) and gives rights
            by role: `ADMIN`, `PRODUCER`, `STRANGER`.
        extra: more settings of the broker.
        settings: of its `StackConfig`.
    """
    authority, mint = Authority(folder), TokenMint()
    server = authority.issue(LOOPBACK, "localhost", "::1")
    tls_port = choose("TLS", None)
    web_port = choose("the admin API with TLS", None, taken=[tls_port])
    told = {
        **tls_settings(authority, server, tls_port, web_port),
        "brokerServicePortTls": str(tls_port),
        **(token_settings(mint) if tokens else {}),
        **(extra or {}),
    }
    security = SecurityConfig(token=mint.token(ADMIN)) if tokens else NO_SECURITY
    config = StackConfig(
        state_dir=folder,
        cache_dir=default_cache_dir(os.environ),
        extra=told,
        security=security,
        **settings,
    )
    try:
        status = up(config)
        broker = SecuredPulsar(
            url=status.pulsar_url,
            tls_url=f"pulsar+ssl://{LOOPBACK}:{tls_port}",
            admin_url=status.admin_url,
            admin_tls_url=f"https://{LOOPBACK}:{web_port}",
            authority=authority,
            mint=mint,
            config=config,
            status=status,
        )
        if tokens:
            _give_rights(broker.admin)
        yield broker
    finally:
        down(config, purge=True)


def _give_rights(admin: PulsarAdmin) -> None:
    # A broker gives what comes through a proxy to nobody whom it would not give it to directly, and
    # asks the same of the proxy.
    for role in (PRODUCER, _PROXY):
        permissions = f"/admin/v2/namespaces/public/default/permissions/{role}"
        admin.call("POST", permissions, ["produce", "consume"])
    admin.call("PUT", f"/admin/v2/namespaces/{CLOSED_NAMESPACE}")


@contextmanager
def proxy_before(
    folder: Path,
    broker_url: str,
    broker_admin_url: str,
    *,
    mint: TokenMint | None = None,
    extra: Mapping[str, str] | None = None,
) -> Iterator[SecuredPulsar]:
    """The Pulsar proxy of the distribution, in front of a broker.

    Args:
        folder: an empty one for its files.
        broker_url: ``pulsar://…`` of the broker; look-ups may lead to any other on this machine.
        broker_admin_url: its admin API.
        mint: of the tokens; then the proxy asks for one, and passes it on to the broker.
        extra: more settings of the proxy.
    """
    authority = Authority(folder, "proxy-ca")
    server = authority.issue(LOOPBACK, "localhost", "::1")
    ports: list[int] = []
    for what in ("the proxy", "its TLS", "its admin API", "its admin API with TLS"):
        ports.append(choose(what, None, taken=ports))
    told = {
        "bindAddress": LOOPBACK,
        "advertisedAddress": LOOPBACK,
        "clusterName": "standalone",
        "brokerServiceURL": broker_url,
        "brokerWebServiceURL": broker_admin_url,
        "servicePort": str(ports[0]),
        "servicePortTls": str(ports[1]),
        "webServicePort": str(ports[2]),
        **tls_settings(authority, server, ports[1], ports[3]),
        # It connects to brokers on their usual ports only, unless told otherwise.
        "brokerProxyAllowedHostNames": "*",
        "brokerProxyAllowedIPAddresses": "*",
        "brokerProxyAllowedTargetPorts": "*",
        **(_proxy_tokens(mint) if mint else {}),
        **(extra or {}),
    }
    conf = folder / "proxy.conf"
    conf.write_text("".join(f"{key}={value}\n" for key, value in told.items()))
    cache = default_cache_dir(os.environ)
    home = distribution.fetch(cache, lambda _: None, lambda _done, _total: None)
    log = folder / "proxy.log"
    marker = f"-Diot.producer.test.proxy={folder}"
    process = spawn(_proxy_command(home, conf, marker, folder), marker, folder, _environment(), log)
    try:
        _wait_for(process, ports[:3], log)
        yield SecuredPulsar(
            url=f"pulsar://{LOOPBACK}:{ports[0]}",
            tls_url=f"pulsar+ssl://{LOOPBACK}:{ports[1]}",
            admin_url=f"http://{LOOPBACK}:{ports[2]}",
            admin_tls_url=f"https://{LOOPBACK}:{ports[3]}",
            authority=authority,
            mint=mint or TokenMint(),
        )
    finally:
        terminate(process, 10.0)


def _proxy_tokens(mint: TokenMint) -> dict[str, str]:
    return {
        "authenticationEnabled": "true",
        "authenticationProviders": f"{_AUTHENTICATION}Token",
        "tokenSecretKey": f"data:;base64,{base64.b64encode(mint.key).decode()}",
        # Who asks is told to the broker, which checks it once more, and decides.
        "forwardAuthorizationCredentials": "true",
        "brokerClientAuthenticationPlugin": _CLIENT_TOKEN,
        "brokerClientAuthenticationParameters": f"token:{mint.token(_PROXY)}",
    }


def _proxy_command(home: Path, conf: Path, marker: str, folder: Path) -> list[str]:
    java = find_java()
    return [
        str(java.executable),
        "-cp",
        f"{home}/conf:{home}/lib/*",
        marker,
        "-XX:+UseSerialGC",
        "-Xmx128m",
        "-XX:MaxDirectMemorySize=192m",
        "-XX:MaxMetaspaceSize=128m",
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={folder}",
        "-Djava.net.preferIPv4Stack=true",
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED",
        "-Dio.netty.tryReflectionSetAccessible=true",
        *(["--sun-misc-unsafe-memory-access=allow"] if java.version >= 23 else []),
        f"-Dpulsar.log.dir={folder}",
        "-Dpulsar.log.appender=Console",
        "-Dpulsar.log.level=info",
        "org.apache.pulsar.proxy.server.ProxyServiceStarter",
        "--config",
        str(conf),
    ]


def _environment() -> dict[str, str]:
    return inherited_environment(("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"))


def _wait_for(process: Any, ports: list[int], log: Path) -> None:
    """Until it listens on all the ports, and nowhere but on the loopback address."""
    deadline = time.monotonic() + _PROXY_READY_S
    while True:
        addresses = listening_addresses(process)
        if {port for _, port in addresses} >= set(ports):
            assert not not_on_loopback(addresses), addresses
            return
        ended = exit_code(process) is not None
        if ended or time.monotonic() > deadline:
            lines = log.read_text("utf-8", "replace").splitlines()
            raise AssertionError("the proxy did not come up:\n" + "\n".join(lines[-30:]))
        time.sleep(0.1)


def _part(value: object) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
