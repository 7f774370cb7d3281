"""Laws of the settings: precedence for every option, and no input that is not a ConfigError."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from iot_producer.config import resolve_run
from iot_producer.destination import parse_destination, parse_listen_address, parse_topic
from iot_producer.errors import ConfigError
from iot_producer.options import Kind, Option, options_of
from iot_producer.settings import Level, settle

_THREE: dict[Kind, tuple[str, str, str]] = {
    Kind.TEXT: ("a", "b", "c"),
    Kind.DESTINATION: ("pulsar://a", "pulsar://b", "pulsar://c"),
    Kind.ADMIN_URL: ("http://a", "http://b", "http://c"),
    Kind.LISTEN: ("1", "h:2", "off"),
    Kind.TOPIC: ("a", "b", "c"),
    Kind.NUMBER: ("1", "2", "3"),
    Kind.RATE: ("1", "2", "max"),
    Kind.DURATION: ("1s", "2s", "3s"),
    Kind.DURATION_OR_NEVER: ("1s", "2s", "never"),
    Kind.SIZE: ("1GB", "2GB", "3GB"),
    Kind.START: ("2026-01-01", "2026-01-02", "now"),
    Kind.SHARD: ("0/1", "1/2", "2/3"),
    Kind.PATH: ("a", "b", "c"),
    Kind.SECRET: ("a", "b", "c"),
    Kind.SWITCH: ("yes", "no", "yes"),
}


@given(
    option=st.sampled_from(list(options_of("run"))),
    levels=st.sets(st.sampled_from([Level.TOML, Level.VARIABLE, Level.FLAG])),
)
def test_the_highest_level_that_says_something_wins(option: Option, levels: set[Level]) -> None:
    # Of two choices neighbouring levels still say different ones.
    texts = (*option.choices, *option.choices)[:3] if option.choices else _THREE[option.kind]
    has = {Level.TOML: option.key, Level.VARIABLE: option.variable, Level.FLAG: option.flags}
    said = {level: texts[level - 1] for level in levels if has[level]}
    flags = {option.name: said[Level.FLAG]} if Level.FLAG in said else {}
    environ = {option.variable: said[Level.VARIABLE]} if Level.VARIABLE in said else {}
    toml: dict[str, Any] = {}
    if Level.TOML in said:
        section, _, key = option.key.partition(".")
        toml = {section: {key: said[Level.TOML]}}
    found = settle("run", flags, environ, toml)[option.name]
    highest = max(said, default=Level.DEFAULT)
    assert found.level is highest
    assert found.written == said.get(highest, option.default_in("run"))


@given(st.text(max_size=60))
@example("pulsar://[::1")
@example("clickhouse://%@h/d.t")
@example("\0.jsonl")
def test_any_text_is_a_destination_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        destination = parse_destination(text)
        assert parse_destination(destination.url).scheme is destination.scheme
    with contextlib.suppress(ConfigError):
        assert parse_topic(parse_topic(text)) == parse_topic(text)
    with contextlib.suppress(ConfigError):
        where = parse_listen_address(text)
        assert where is None or 0 <= where[1] <= 65535


@given(
    host=st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z]{1,5}){0,2}", fullmatch=True),
    port=st.integers(1, 65535),
    user=st.text(min_size=1, max_size=8),
    password=st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=12),
)
def test_any_password_can_be_written_and_is_never_shown(
    host: str, port: int, user: str, password: str
) -> None:
    from urllib.parse import quote

    login = f"{quote(user, safe='')}:{quote('S3cr3t' + password, safe='')}"
    destination = parse_destination(f"clickhouse://{login}@{host}:{port}/d.t")
    assert destination.user == user
    assert destination.password == "S3cr3t" + password
    assert destination.hosts == ((host, port),)
    assert "S3cr3t" not in f"{destination} {destination!r}"


@given(
    st.dictionaries(
        st.sampled_from([option.name for option in options_of("run")]),
        st.one_of(st.text(max_size=20), st.sampled_from([t for ts in _THREE.values() for t in ts])),
        max_size=6,
    )
)
def test_any_flags_resolve_or_are_a_config_error(flags: dict[str, str]) -> None:
    with contextlib.suppress(ConfigError):
        config = resolve_run(flags, {})
        assert config.n_lanes <= config.fleet.devices


@given(
    devices=st.integers(1, 5000),
    customers=st.one_of(st.none(), st.integers(1, 5000)),
    sites=st.one_of(st.none(), st.integers(1, 5000)),
)
def test_a_pool_is_consistent_or_refused(
    devices: int, customers: int | None, sites: int | None
) -> None:
    flags = {
        name: str(value)
        for name, value in (("devices", devices), ("customers", customers), ("sites", sites))
        if value is not None
    }
    flags["rate"] = "1"
    possible = (customers or 1) <= devices and (sites or 1) <= devices
    try:
        fleet = resolve_run(flags, {}).fleet
    except ConfigError:
        assert not possible
    else:
        assert possible
        assert fleet.customers == (min(10_000, devices) if customers is None else customers)
        assert fleet.sites == (min(1_000, devices) if sites is None else sites)
