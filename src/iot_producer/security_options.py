"""The settings of secured connections: tokens and TLS.

Promise: the part of the table in options.py about secrets and certificates; all commands that reach
a broker share it. Import `OPTIONS` from there. A token has a variable and a file, but neither a
flag nor a TOML key: the list of processes and files under version control are for all to read.
"""

from __future__ import annotations

from typing import Final

from iot_producer.option import Group, Kind, Option

_BROKER_COMMANDS: Final = ("run", "verify", "doctor")

SECURITY_OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "token",
        (),
        "PULSAR_TOKEN",
        "",
        Kind.SECRET,
        Group.SECURITY,
        "Token that proves to Pulsar who this is.",
        commands=_BROKER_COMMANDS,
        default_note="none",
    ),
    Option(
        "token_file",
        ("--token-file",),
        "PULSAR_TOKEN_FILE",
        "pulsar.token_file",
        Kind.PATH,
        Group.SECURITY,
        "File with the token; it is read anew for each connection and whenever the broker asks.",
        commands=_BROKER_COMMANDS,
        default_note="none",
    ),
    Option(
        "tls_trust_store",
        ("--tls-trust-store",),
        "PULSAR_TLS_TRUST_STORE",
        "pulsar.tls_trust_store",
        Kind.PATH,
        Group.SECURITY,
        "PEM file with the certificates of the authorities to trust, for pulsar+ssl:// and https://.",
        commands=_BROKER_COMMANDS,
        default_note="those of the system",
    ),
    Option(
        "tls_certificate",
        ("--tls-certificate",),
        "PULSAR_TLS_CERTIFICATE",
        "pulsar.tls_certificate",
        Kind.PATH,
        Group.SECURITY,
        "PEM file with the certificate that this client shows, and its chain.",
        commands=_BROKER_COMMANDS,
        default_note="none",
    ),
    Option(
        "tls_key",
        ("--tls-key",),
        "PULSAR_TLS_KEY",
        "pulsar.tls_key",
        Kind.PATH,
        Group.SECURITY,
        "PEM file with the private key of --tls-certificate, not encrypted.",
        commands=_BROKER_COMMANDS,
        default_note="the file of the certificate",
    ),
    Option(
        "tls_verify_host",
        ("--tls-verify-host",),
        "PULSAR_TLS_VERIFY_HOST",
        "pulsar.tls_verify_host",
        Kind.SWITCH,
        Group.SECURITY,
        "Insist that the server's certificate is for the host that was asked for.",
        commands=_BROKER_COMMANDS,
        default="yes",
    ),
)
