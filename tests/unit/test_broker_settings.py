"""Which broker was asked for, and how it is secured: from settings, without opening a file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from iot_producer.config import RunConfig, resolve_run
from iot_producer.errors import ConfigError
from iot_producer.options import BY_NAME
from iot_producer.plan_text import plan_text
from iot_producer.pulsar import entry, partition_producer
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig

SECRET = "eyJhbGciOiJIUzI1NiJ9.s3cr3t.sig"
TLS = {"PULSAR_URL": "pulsar+ssl://h"}


def run(*arguments: str, toml: Any = None, **variables: str) -> RunConfig:
    """Resolve ``name=text`` arguments as flags and keywords as environment variables."""
    flags: dict[str, str | bool | None] = dict(one.split("=", 1) for one in arguments)
    return resolve_run(flags, variables, toml, toml_name="x.toml")


def refused(*arguments: str, toml: Any = None, **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        run(*arguments, toml=toml, **variables)
    assert caught.value.hint
    return f"{caught.value.message} / {caught.value.hint}"


def test_without_anything_there_is_no_security() -> None:
    assert run().security == NO_SECURITY
    assert run(PULSAR_TOKEN="  ", PULSAR_TLS_KEY="").security == NO_SECURITY


def test_the_url_decides_about_tls() -> None:
    config = run(**TLS)
    assert config.destination.url == "pulsar+ssl://h:6651"
    assert config.admin_url == "https://h:8443"
    assert config.security == SecurityConfig(tls=True)
    assert run(PULSAR_URL="pulsar+ssl://[::1]:7").admin_url == "https://[::1]:8443"


def test_every_setting_of_security_has_its_variable_flag_and_key() -> None:
    expected = SecurityConfig(
        token_file=Path("t"),
        trust_store=Path("ca.pem"),
        certificate=Path("c.pem"),
        key=Path("k.pem"),
        verify_host=False,
        tls=True,
    )
    by_variable = run(
        PULSAR_TOKEN_FILE="t",
        PULSAR_TLS_TRUST_STORE="ca.pem",
        PULSAR_TLS_CERTIFICATE="c.pem",
        PULSAR_TLS_KEY="k.pem",
        PULSAR_TLS_VERIFY_HOST="no",
        **TLS,
    )
    by_flag = run(
        "token_file=t",
        "tls_trust_store=ca.pem",
        "tls_certificate=c.pem",
        "tls_key=k.pem",
        "tls_verify_host=no",
        **TLS,
    )
    by_key = run(
        toml={
            "pulsar": {
                "url": "pulsar+ssl://h",
                "token_file": "t",
                "tls_trust_store": "ca.pem",
                "tls_certificate": "c.pem",
                "tls_key": "k.pem",
                "tls_verify_host": False,
            }
        }
    )
    assert by_variable.security == by_flag.security == by_key.security == expected


def test_a_token_has_neither_a_flag_nor_a_key() -> None:
    assert run(PULSAR_TOKEN=SECRET, **TLS).security == SecurityConfig(token=SECRET, tls=True)
    message = refused(toml={"pulsar": {"token": SECRET}})
    assert "unknown key 'pulsar.token'" in message
    assert "did you mean pulsar.token_file?" in message
    assert SECRET not in message


def test_of_two_tokens_the_higher_level_wins() -> None:
    config = run("token_file=t", PULSAR_TOKEN=SECRET, **TLS)
    assert config.security == SecurityConfig(token_file=Path("t"), tls=True)
    assert config.warnings == ("PULSAR_TOKEN is ignored: --token-file goes before it",)
    config = run(toml={"pulsar": {"token_file": "t"}}, PULSAR_TOKEN=SECRET, **TLS)
    assert config.security == SecurityConfig(token=SECRET, tls=True)
    assert config.warnings == (
        "pulsar.token_file in x.toml is ignored: PULSAR_TOKEN goes before it",
    )
    message = refused(PULSAR_TOKEN=SECRET, PULSAR_TOKEN_FILE="t")
    assert "PULSAR_TOKEN and PULSAR_TOKEN_FILE both give a token" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ([], {"PULSAR_TLS_TRUST_STORE": "ca.pem"}, "PULSAR_TLS_TRUST_STORE=ca.pem asks for TLS"),
        (["tls_certificate=c"], {}, "--tls-certificate c asks for TLS, but pulsar://pulsar-proxy"),
        ([], {"PULSAR_TLS_VERIFY_HOST": "no"}, "PULSAR_TLS_VERIFY_HOST=no asks for TLS"),
        (["tls_key=k"], TLS, "--tls-key k is without the certificate"),
        ([], {"PULSAR_TLS_VERIFY_HOST": "maybe", **TLS}, "is neither yes nor no"),
        (["compression=gzip"], {}, "--compression does not know 'gzip'"),
        (["client=java"], {}, "--client does not know 'java'"),
        (["on_gap=forget"], {}, "--on-gap does not know 'forget'"),
        (["max_gap=never"], {}, "--max-gap is not a duration"),
        (["admin_url=ftp://h"], {}, "is not the address of an admin API"),
    ],
)
def test_what_contradicts_itself(
    arguments: list[str], variables: dict[str, str], message: str
) -> None:
    assert message in refused(*arguments, **variables)


def test_files_of_tls_also_serve_an_admin_api_of_its_own() -> None:
    config = run("tls_trust_store=ca", PULSAR_ADMIN_URL="https://h:8443", PULSAR_URL="pulsar://h")
    assert config.security == SecurityConfig(trust_store=Path("ca"), tls=False)


def test_both_clients_know_every_compression() -> None:
    for name in BY_NAME["compression"].choices:
        assert run(f"compression={name}").compression == name
        assert name in entry.COMPRESSIONS
        assert name in partition_producer.COMPRESSIONS


def test_an_unsafe_wish_is_granted_with_a_warning() -> None:
    for url, warns in (
        ("pulsar://h", True),
        ("pulsar://127.0.0.1,h", True),
        ("pulsar://127.0.0.1,[::1]:6650,localhost", False),
        ("pulsar+ssl://h", False),
    ):
        warnings = run(PULSAR_TOKEN=SECRET, PULSAR_URL=url).warnings
        assert any("as plain text" in line for line in warnings) == warns, url
        assert SECRET not in str(warnings)
    (warning,) = run("tls_verify_host=no", **TLS).warnings
    assert warning.startswith("--tls-verify-host no: whoever has any certificate")


def test_a_misspelt_variable_of_tls_is_named() -> None:
    config = run(PULSAR_TLS_TRUST_STORES="ca.pem", PULSAR_TLS_SERVICE_HOST="10.0.0.1", **TLS)
    assert config.warnings == (
        "PULSAR_TLS_TRUST_STORES is ignored: did you mean PULSAR_TLS_TRUST_STORE?",
    )


def test_what_has_no_broker_has_no_security() -> None:
    variables = {"PULSAR_TOKEN": SECRET, "PULSAR_TLS_KEY": "k"}
    assert run("to=null:", **variables).security == NO_SECURITY
    # The demo's broker is its own: a token of another one is nothing to it.
    demo = resolve_run({"to": "pulsar://127.0.0.1:1"}, variables, command="demo")
    assert demo.security == NO_SECURITY


def test_no_text_shows_a_token() -> None:
    config = run("duration=1s", PULSAR_TOKEN=SECRET, **TLS)
    texts = (str(config), repr(config), repr(config.security), str(config.sources))
    assert all(SECRET not in text for text in (*texts, plan_text(config)))
    (source,) = [one for one in config.sources if one.name == "PULSAR_TOKEN"]
    assert (source.value, source.origin) == ("***", "PULSAR_TOKEN")
    assert pickle.loads(pickle.dumps(config)).security.token == SECRET
