"""Which broker was asked for, and how it is reached: destination, admin API, TLS, token, client.

Promise: TLS, a certificate or a token that somebody asked for is used, or a `ConfigError` says why
not; of two that contradict each other the higher level wins and a warning names the other, and at
one level it is an error. Pure: no file is opened. All commands that reach a broker resolve it here.
This module must not know the load.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from iot_producer.destination import (
    DEFAULT_ADMIN_PORT,
    DEFAULT_ADMIN_TLS_PORT,
    Destination,
    Scheme,
    parse_destination,
    redacted,
)
from iot_producer.errors import ConfigError
from iot_producer.options import BY_NAME, Kind
from iot_producer.pulsar.security import SecurityConfig
from iot_producer.settings import Level, Setting, at
from iot_producer.spelling import did_you_mean

HIDDEN: Final = "***"

_PREFIX: Final = "PULSAR_TLS_"
# Kubernetes sets these when a Service is called pulsar-tls.
_OF_A_SERVICE: Final = re.compile(r"PULSAR_TLS_(SERVICE_HOST|SERVICE_PORT.*|PORT.*)")
_TLS_NAMES: Final = ("tls_trust_store", "tls_certificate", "tls_key", "tls_verify_host")


def given(setting: Setting) -> str:
    """A setting as people gave it: ``--rate 5``, ``SITES=7``, ``run.rate in x.toml (5)``."""
    match setting.level:
        case Level.FLAG:
            return f"{setting.origin} {shown(setting)}"
        case Level.VARIABLE:
            return f"{setting.origin}={shown(setting)}"
        case Level.TOML:
            return f"{setting.origin} ({shown(setting)})"
        case _:
            return f"{setting.option.flag} {shown(setting)} (the default)"


def shown(setting: Setting) -> str:
    """A setting's value as it was written; what may be a secret is hidden."""
    if setting.option.kind is Kind.SECRET:
        return HIDDEN
    text = str(setting.written)
    return redacted(text) if setting.option.kind is Kind.DESTINATION else text


def destination_of(settings: Mapping[str, Setting], warnings: list[str]) -> Destination:
    """Where records go: ``--to``, else ``--pulsar-url``, each with its topic.

    Args:
        settings: of a command that has both.
        warnings: gets a sentence for each setting that was given in vain.

    Raises:
        ConfigError: malformed, or two destinations.
    """
    to, pulsar, topic = settings["to"], settings["pulsar_url"], settings["topic"].value
    if to.value is None or pulsar.level > to.level:
        if to.value is not None:
            warnings.append(f"{to.origin} is ignored: {pulsar.origin} goes before it")
        found = at(pulsar.origin, parse_destination, pulsar.value, topic)
        if found.scheme is not Scheme.PULSAR:
            raise ConfigError(
                f"{pulsar.origin} is not a Pulsar URL: {found}",
                "write pulsar://host:6650; other destinations are given with --to",
            )
        return found
    if to.level is Level.FLAG and pulsar.level is Level.FLAG:
        raise ConfigError("--to and --pulsar-url both name a destination", "give one of them")
    return at(to.origin, parse_destination, to.value, topic)


def admin_url_of(destination: Destination, setting: Setting) -> str:
    """The address of the admin API; empty where the destination is not Pulsar."""
    if destination.scheme is not Scheme.PULSAR:
        return ""
    if setting.value:
        return str(setting.value)
    host = destination.hosts[0][0]
    scheme, port = ("https", DEFAULT_ADMIN_TLS_PORT) if destination.tls else _PLAIN_ADMIN
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def security_of(
    settings: Mapping[str, Setting],
    environ: Mapping[str, str],
    destination: Destination,
    warnings: list[str],
) -> SecurityConfig:
    """The TLS and the token of connections to a Pulsar destination and its admin API.

    Args:
        settings: of a command that has the options of security_options.py.
        environ: the environment variables, searched for misspelt ones.
        destination: decides whether there is TLS.
        warnings: gets a sentence for what was given in vain or is unsafe.

    Raises:
        ConfigError: two tokens, files of TLS without TLS, a key without its certificate.
    """
    admin = settings["admin_url"]
    admin_tls = admin_url_of(destination, admin).startswith("https:")
    _check_names(environ, warnings)
    if not (destination.tls or admin_tls):
        for name in _TLS_NAMES:
            setting = settings[name]
            if setting.level is not Level.DEFAULT and setting.value is not True:
                raise ConfigError(
                    f"{given(setting)} asks for TLS, but {destination.url} is without",
                    f"write pulsar+ssl:// and the port of its TLS listener, or leave out "
                    f"{setting.origin}; nothing was connected",
                )
    if settings["tls_key"].value and not settings["tls_certificate"].value:
        raise ConfigError(
            f"{given(settings['tls_key'])} is without the certificate that it belongs to",
            "give it too: PULSAR_TLS_CERTIFICATE or --tls-certificate",
        )
    if not settings["tls_verify_host"].value:
        warnings.append(
            f"{given(settings['tls_verify_host'])}: whoever has any certificate of a trusted "
            "authority can pass for the broker"
        )
    token, token_file = _tokens(settings, warnings)
    if (token or token_file) and not destination.tls and not _is_local(destination.hosts):
        warnings.append(
            f"the token goes to {destination.url} as plain text: use pulsar+ssl:// outside of "
            "a network that you trust"
        )
    return SecurityConfig(
        token=token,
        token_file=token_file,
        trust_store=_path(settings["tls_trust_store"]),
        certificate=_path(settings["tls_certificate"]),
        key=_path(settings["tls_key"]),
        verify_host=settings["tls_verify_host"].value,
        tls=destination.tls,
    )


_PLAIN_ADMIN: Final = ("http", DEFAULT_ADMIN_PORT)


def _tokens(settings: Mapping[str, Setting], warnings: list[str]) -> tuple[str, Path | None]:
    token, file = settings["token"], settings["token_file"]
    if token.value and file.value:
        if token.level is file.level:
            raise ConfigError(
                f"{token.origin} and {file.origin} both give a token", "give one of them"
            )
        first, other = (token, file) if token.level > file.level else (file, token)
        warnings.append(f"{other.origin} is ignored: {first.origin} goes before it")
        return (token.value, None) if first is token else ("", Path(file.value))
    return token.value or "", _path(file)


def _check_names(environ: Mapping[str, str], warnings: list[str]) -> None:
    """Warn of a variable that looks like a setting of TLS and is none."""
    known = [BY_NAME[name].variable for name in _TLS_NAMES]
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in known or _OF_A_SERVICE.fullmatch(name):
            continue
        if environ[name].strip():
            warnings.append(f"{name} is ignored: {did_you_mean(name, known)}")


def _is_local(hosts: Iterable[tuple[str, int]]) -> bool:
    return all(_is_loopback(host) for host, _ in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _path(setting: Setting) -> Path | None:
    return Path(setting.value) if setting.value else None
