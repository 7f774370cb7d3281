"""Tokens and TLS: what the files must be, and what a failed handshake means."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from iot_producer.errors import ConfigError, RefusedError, UnreachableError
from iot_producer.pulsar.security import (
    NO_SECURITY,
    SecurityConfig,
    check_security,
    client_context,
    read_token,
    ssl_context,
    tls_failure,
    token_expires_s,
)
from tls_cases import Authority, Pem

SECRET = "s3cr3t-t0k3n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def refused(config: SecurityConfig) -> str:
    with pytest.raises(ConfigError) as caught:
        check_security(config)
    assert caught.value.hint
    return caught.value.message


def test_nothing_is_read_where_nothing_was_asked_for() -> None:
    check_security(NO_SECURITY)
    assert read_token(NO_SECURITY) == ""
    assert ssl_context(NO_SECURITY) is None
    assert (NO_SECURITY.has_token, NO_SECURITY.auth_method) == (False, "none")


@pytest.mark.parametrize("written", ["abc.def.ghi", "  abc.def.ghi\n", "token:abc.def.ghi"])
def test_a_token_is_what_is_left_without_its_wrapping(written: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(written)
    assert read_token(SecurityConfig(token=written)) == "abc.def.ghi"
    assert read_token(SecurityConfig(token_file=file)) == "abc.def.ghi"


def test_a_token_that_is_replaced_in_its_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "token"
    config = SecurityConfig(token_file=file)
    file.write_text("old")
    assert read_token(config) == "old"
    file.write_text("new\n")
    assert read_token(config) == "new"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"token:", "is empty"),
        (b"s3cr3t-t0k3n s3cr3t-t0k3n", "holds white space"),
        (b"s3cr3t-t0k3n\ns3cr3t-t0k3n", "holds white space"),
        (b"s3cr3t-t0k3n\0", "holds white space or control characters"),
        ("s3cr3t-t0k3n…".encode(), "holds characters that no token has"),
        (b"\xff\xfes3cr3t-t0k3n", "holds characters that no token has"),
        (b"file:///s3cr3t-t0k3n", "names a file"),
        (b"s3cr3t-t0k3n" * 6000, "is 72000 bytes long"),
    ],
)
def test_what_is_no_token_is_refused_and_never_shown(
    content: bytes, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    said = refused(SecurityConfig(token_file=file))
    assert message in said
    assert str(file) in said
    assert SECRET not in said
    with suppress(UnicodeDecodeError):
        if text := content.decode():
            said = refused(SecurityConfig(token=text))
            assert said.startswith("PULSAR_TOKEN ")
            assert message in said
            assert SECRET not in said


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert refused(SecurityConfig(token_file=missing)) == (
        f"{missing} cannot be read: No such file or directory"
    )
    assert "Is a directory" in refused(SecurityConfig(token_file=tmp_path))
    assert f"{missing} cannot be read" in refused(SecurityConfig(trust_store=missing, tls=True))


def test_no_text_shows_a_token(tmp_path: Path) -> None:
    config = SecurityConfig(token=SECRET)
    assert SECRET not in f"{config} {config!r} {[config]}"
    with pytest.raises(ConfigError) as caught:
        SecurityConfig(token=SECRET, token_file=tmp_path)
    assert SECRET not in caught.value.message
    assert (config.has_token, config.auth_method) == (True, "token")


def jwt(claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part(claims)}.c2ln"


def test_when_a_token_ends() -> None:
    assert token_expires_s(jwt({"sub": "me", "exp": 1_780_000_000})) == 1_780_000_000.0
    for token in (
        jwt({"sub": "me"}),
        jwt([1]),
        jwt({"exp": True}),
        "a.b.c",
        "opaque",
        "a.\n.c",
        "",
    ):
        assert token_expires_s(token) is None, token


def test_a_certificate_is_the_way_to_authenticate_without_a_token(authority: Authority) -> None:
    mine = authority.issue("me")
    config = SecurityConfig(certificate=mine.certificate, key=mine.key, tls=True)
    assert config.auth_method == "tls"
    assert SecurityConfig(token="t", certificate=mine.certificate, tls=True).auth_method == "token"
    with pytest.raises(ConfigError, match="no certificate that belongs to it"):
        SecurityConfig(key=mine.key, tls=True)


def test_files_that_are_not_what_they_should_be(authority: Authority, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no certificate")
    mine, other = authority.issue("me"), authority.issue("other")
    assert "holds no certificates in PEM form" in refused(SecurityConfig(trust_store=text))
    assert "holds no certificates" in refused(SecurityConfig(trust_store=mine.key))
    assert "is not that of the certificate" in refused(
        SecurityConfig(certificate=mine.certificate, key=other.key)
    )
    assert "are not a certificate and its private key" in refused(
        SecurityConfig(certificate=mine.certificate)
    )
    assert f"{text} and {mine.key} are not a certificate" in refused(
        SecurityConfig(certificate=text, key=mine.key)
    )
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        load_pem_private_key(mine.key.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        )
    )
    assert f"the private key in {encrypted} is encrypted" in refused(
        SecurityConfig(certificate=mine.certificate, key=encrypted)
    )


@contextmanager
def server(context: ssl.SSLContext | None) -> Iterator[int]:
    """Listens on a port, shakes hands once, and reads until the other side ends it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(30)
                    if context is None:
                        connection.recv(1)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                        return
                    with context.wrap_socket(connection, server_side=True) as secured:
                        secured.sendall(b"!")
                        secured.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def serving(pem: Pem, client_authority: Authority | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem.certificate, pem.key)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority.trust_store)
    return context


def shake_hands(config: SecurityConfig, serves: ssl.SSLContext | None) -> bytes:
    """The first byte after the handshake; a failure as our exception."""
    context = client_context(config)
    with server(serves) as port, socket.create_connection(("127.0.0.1", port), 30) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
                return secured.recv(1)
        except OSError as error:
            raise tls_failure(error, "127.0.0.1", port) from error


def test_a_handshake_with_trust_and_with_a_certificate_of_the_client(authority: Authority) -> None:
    broker, mine = authority.issue("127.0.0.1"), authority.issue("me")
    config = SecurityConfig(
        trust_store=authority.trust_store, certificate=mine.certificate, key=mine.key, tls=True
    )
    assert shake_hands(config, serving(broker)) == b"!"
    assert shake_hands(config, serving(broker, authority)) == b"!"


@pytest.mark.parametrize(
    ("case", "message", "hint"),
    [
        ("other authority", "an authority that is not trusted", "PULSAR_TLS_TRUST_STORE"),
        ("system", "an authority that is not trusted", "PULSAR_TLS_TRUST_STORE"),
        ("other host", "is not for 127.0.0.1", "PULSAR_TLS_VERIFY_HOST=no"),
        ("expired", "has expired", "renew it"),
        ("no tls", "does not speak TLS", "pulsar://"),
        ("no certificate", "refuses the certificate of this client", "PULSAR_TLS_CERTIFICATE"),
    ],
)
def test_a_failed_handshake_says_what_to_do(
    case: str, message: str, hint: str, authority: Authority, tmp_path: Path
) -> None:
    trusted = SecurityConfig(trust_store=authority.trust_store, tls=True)
    config, serves = {
        "other authority": (
            SecurityConfig(trust_store=Authority(tmp_path, "x").trust_store, tls=True),
            serving(authority.issue("127.0.0.1")),
        ),
        "system": (SecurityConfig(tls=True), serving(authority.issue("127.0.0.1"))),
        "other host": (trusted, serving(authority.issue("broker.example"))),
        "expired": (trusted, serving(authority.issue("127.0.0.1", expired=True))),
        "no tls": (trusted, None),
        "no certificate": (trusted, serving(authority.issue("127.0.0.1"), authority)),
    }[case]
    with pytest.raises(RefusedError) as caught:
        shake_hands(config, serves)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_the_check_of_the_host_can_be_left_out_and_nothing_else(authority: Authority) -> None:
    config = SecurityConfig(trust_store=authority.trust_store, verify_host=False, tls=True)
    assert shake_hands(config, serving(authority.issue("broker.example"))) == b"!"
    with pytest.raises(RefusedError, match="has expired"):
        shake_hands(config, serving(authority.issue("broker.example", expired=True)))


def test_a_connection_that_ends_in_the_handshake_may_be_tried_again() -> None:
    error = tls_failure(ConnectionResetError(104, "Connection reset by peer"), "h", 6651)
    assert isinstance(error, UnreachableError)
    assert error.message == "h:6651 broke the TLS handshake off: Connection reset by peer"
