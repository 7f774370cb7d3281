"""TLS and tokens of a connection to Pulsar: settings in, an `ssl.SSLContext` and a token out.

Promise: what was asked for is what is used, or a `ConfigError` says why not: there is no connection
without TLS, without the check of a host name or without the token that somebody asked for. A token
is in no ``repr``, no message and no log line; a token's file is read anew each time, so that a
replaced one is found. This module must not know sockets, nor Pulsar's protocol.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iot_producer.errors import ConfigError, IotProducerError, RefusedError, UnreachableError

if TYPE_CHECKING:  # loading ssl takes 15 ms, which most runs need not wait for
    import ssl

_TOKEN_PREFIX: Final = "token:"  # noqa: S105 - how Pulsar's own client.conf writes a token
_FILE_PREFIX: Final = "file:"
_LONGEST_TOKEN: Final = 64 * 1024

# Codes of OpenSSL's check of a certificate (x509_vfy.h), with what to do about them.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_UNTRUSTED: Final = (2, 18, 19, 20, 21)
_WRONG_HOST: Final = (62, 64)


@dataclass(frozen=True, slots=True)
class SecurityConfig:
    """How a connection is secured.

    Attributes:
        token: the token itself; empty: none, or in a file.
        token_file: a file that holds the token; None: none.
        trust_store: PEM file with the certificates of the authorities to trust; None: those that
            the system trusts.
        certificate: PEM file with the client's certificate and its chain; None: none is shown.
        key: PEM file with its private key; None: it is in the file of the certificate.
        verify_host: whether the server's certificate must be for the host that was asked for.
        tls: whether connections to the broker use TLS (``pulsar+ssl://``).

    Raises:
        ConfigError: two tokens, or a key without a certificate.
    """

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    trust_store: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    verify_host: bool = True
    tls: bool = False

    def __post_init__(self) -> None:
        if self.token and self.token_file is not None:
            raise ConfigError(
                f"there is a token, and the file {self.token_file} for another",
                "give either PULSAR_TOKEN or PULSAR_TOKEN_FILE",
            )
        if self.key is not None and self.certificate is None:
            raise ConfigError(
                f"there is the key {self.key}, but no certificate that belongs to it",
                "give the certificate too: PULSAR_TLS_CERTIFICATE",
            )

    @property
    def has_token(self) -> bool:
        """Whether a token is to be sent."""
        return bool(self.token) or self.token_file is not None

    @property
    def auth_method(self) -> str:
        """What CONNECT calls the way to authenticate: ``token``, ``tls`` or ``none``.

        A token goes before a certificate, which then only makes the connection.
        """
        if self.has_token:
            return "token"
        return "tls" if self.tls and self.certificate is not None else "none"


NO_SECURITY: Final = SecurityConfig()
"""Plain connections, and no token."""


def check_security(config: SecurityConfig) -> None:
    """Find out before anything is connected whether the files are what they should be.

    Raises:
        ConfigError: one cannot be read, or is not what it should be.
    """
    read_token(config)
    if config.tls or config.trust_store is not None or config.certificate is not None:
        client_context(config)


def read_token(config: SecurityConfig) -> str:
    """The token to send now; its file is read anew each time.

    Returns:
        the token without white space around it; empty when none is to be sent.

    Raises:
        ConfigError: the file cannot be read, is empty, or holds no token.
    """
    if config.token_file is not None:
        return _token(_read(config.token_file), f"the token's file {config.token_file}")
    return _token(config.token, "PULSAR_TOKEN") if config.token else ""


def token_expires_s(token: str) -> float | None:
    """When a token ends by its own word (the claim ``exp`` of a JWT), seconds since the epoch.

    Returns:
        None where it does not say, or is no JWT. Nothing is verified: that is the broker's task.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    padded = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        claims: Any = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    return float(end) if isinstance(end, int | float) and not isinstance(end, bool) else None


def ssl_context(config: SecurityConfig) -> ssl.SSLContext | None:
    """The TLS of connections to the broker; None without TLS.

    Raises:
        ConfigError: a file cannot be read, or is not what it should be.
    """
    return client_context(config) if config.tls else None


def client_context(config: SecurityConfig) -> ssl.SSLContext:
    """The TLS of a client with these files, whether the broker's connections use it or not.

    Raises:
        ConfigError: a file cannot be read, or is not what it should be.
    """
    import ssl

    store = config.trust_store
    if store is not None:
        _read(store)  # OpenSSL's own errors do not tell a missing file from one that is no PEM
    try:
        context = ssl.create_default_context(cafile=None if store is None else str(store))
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"the trust store {store} holds no certificates in PEM form: {_reason(error)}",
            "convert it: openssl pkcs12 -in store.p12 -nokeys -out ca.pem, "
            "or keytool -exportcert -rfc -keystore store.jks -alias NAME -file ca.pem",
        ) from error
    # Python 3.13 asks for more than RFC 5280 makes authorities do, and refuses home-made ones.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    context.check_hostname = config.verify_host
    if config.certificate is not None:
        _load_certificate(context, config.certificate, config.key)
    return context


def is_tls_error(error: BaseException) -> bool:
    """Whether TLS itself failed, and not the network under it."""
    import ssl

    return isinstance(error, ssl.SSLError)


def tls_failure(error: Exception, host: str, port: int) -> IotProducerError:
    """What a failed TLS handshake means, with its remedy.

    Args:
        error: a ``ssl.SSLError``, or the ``OSError`` that broke the handshake off.
        host: whom it was made with.
        port: on which port.

    Returns:
        `RefusedError` where trying again is of no use, else `UnreachableError`; raise it ``from``.
    """
    import ssl

    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, host, where)
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError):
        return UnreachableError(
            f"{where} broke the TLS handshake off: {_reason(error) or type(error).__name__}",
            "does this port speak TLS (6651, as a rule)? A listener without it has pulsar:// URLs",
        )
    reason = (error.reason or "").upper()
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason or "HTTP_REQUEST" in reason:
        return RefusedError(
            f"{where} does not speak TLS",
            "give the port of its TLS listener (6651, as a rule), or a pulsar:// URL to go without",
        )
    if "CERTIFICATE_REQUIRED" in reason or "BAD_CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        return RefusedError(
            f"{where} refuses the certificate of this client: {_reason(error)}",
            "set PULSAR_TLS_CERTIFICATE and PULSAR_TLS_KEY to a certificate that it trusts",
        )
    return UnreachableError(
        f"the TLS handshake with {where} failed: {_reason(error)}",
        "see the broker's log for its side of it",
    )


def _untrusted(error: ssl.SSLCertVerificationError, host: str, where: str) -> RefusedError:
    why = error.verify_message or _reason(error)
    if error.verify_code in _WRONG_HOST:
        return RefusedError(
            f"the certificate of {where} is not for {host}: {why}",
            "connect by a name that is in it; PULSAR_TLS_VERIFY_HOST=no leaves this check out",
        )
    if error.verify_code == _EXPIRED:
        return RefusedError(
            f"the certificate of {where} has expired",
            "renew it on the broker; if it is newer than that, look at this machine's clock",
        )
    if error.verify_code == _NOT_YET_VALID:
        return RefusedError(
            f"the certificate of {where} is not valid yet", "look at this machine's clock"
        )
    if error.verify_code in _UNTRUSTED:
        return RefusedError(
            f"the certificate of {where} is from an authority that is not trusted: {why}",
            "give the authority's certificate as a PEM file: PULSAR_TLS_TRUST_STORE",
        )
    return RefusedError(f"the certificate of {where} cannot be trusted: {why}", "renew it")


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    import ssl

    _read(certificate)
    if key is not None:
        _read(key)
    key_file = key or certificate

    def password() -> bytes:
        # Without this OpenSSL would ask on the terminal, and a pod would wait for ever.
        raise ConfigError(
            f"the private key in {key_file} is encrypted",
            "give one without a passphrase: openssl pkey -in key.pem -out plain.pem",
        )

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in (error.reason or ""):
            raise ConfigError(
                f"the private key in {key_file} is not that of the certificate {certificate}",
                "give the two that were made together: PULSAR_TLS_CERTIFICATE, PULSAR_TLS_KEY",
            ) from error
        raise ConfigError(
            f"{certificate} and {key_file} are not a certificate and its private key in PEM form: "
            f"{_reason(error)}",
            "a PEM file has lines -----BEGIN CERTIFICATE----- and -----BEGIN PRIVATE KEY-----",
        ) from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}",
            "give the path of a file that this user may read",
        ) from error


def _token(raw: str | bytes, origin: str) -> str:
    """The token in a text that people wrote; messages never show any of it."""
    if len(raw) > _LONGEST_TOKEN:
        raise ConfigError(f"{origin} is {len(raw)} bytes long: that is no token", _TOKEN_HINT)
    try:
        text = raw.decode("ascii") if isinstance(raw, bytes) else raw.encode("ascii").decode()
    except UnicodeError:
        # Not "from": the error holds the text.
        raise ConfigError(f"{origin} holds characters that no token has", _TOKEN_HINT) from None
    text = text.strip().removeprefix(_TOKEN_PREFIX).strip()
    if not text:
        raise ConfigError(f"{origin} is empty", _TOKEN_HINT)
    if text.startswith(_FILE_PREFIX):
        raise ConfigError(
            f"{origin} names a file, and is no token",
            "give the file's path as PULSAR_TOKEN_FILE or --token-file",
        )
    if not text.isprintable() or " " in text:
        raise ConfigError(f"{origin} holds white space or control characters", _TOKEN_HINT)
    return text


_TOKEN_HINT: Final = "a token is one line of text; Pulsar makes one: bin/pulsar tokens create"  # noqa: S105


def _reason(error: Exception) -> str:
    """What a library says, in one line: ``[SSL: …] reason (_ssl.c:…)`` without the brackets."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, str) and reason:
        return reason.replace("_", " ").lower()
    return str(getattr(error, "strerror", None) or error)
