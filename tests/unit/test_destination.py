"""Destinations and topics: every form, every mistake, and no password in any text."""

from __future__ import annotations

import pickle

import pytest

from iot_producer.destination import (
    Destination,
    Scheme,
    parse_admin_url,
    parse_destination,
    parse_listen_address,
    parse_topic,
    redacted,
)
from iot_producer.errors import ConfigError, ExitCode

TOPIC = "persistent://public/default/iot-sensor-data"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pulsar://broker", Destination(Scheme.PULSAR, hosts=(("broker", 6650),))),
        ("pulsar://broker:6651/", Destination(Scheme.PULSAR, hosts=(("broker", 6651),))),
        (
            "PULSAR://a.b-c.svc:1,10.0.0.1,[::1]:65535",
            Destination(
                Scheme.PULSAR, hosts=(("a.b-c.svc", 1), ("10.0.0.1", 6650), ("::1", 65535))
            ),
        ),
        (
            "pulsar+ssl://h,10.0.0.1:6652",
            Destination(Scheme.PULSAR, hosts=(("h", 6651), ("10.0.0.1", 6652)), tls=True),
        ),
        (
            "clickhouse://h/benchmark.sensors_local",
            Destination(
                Scheme.CLICKHOUSE,
                hosts=(("h", 8123),),
                database="benchmark",
                table="sensors_local",
            ),
        ),
        (
            "clickhouse://me:p%40ss%2F@h:9000/d.t",
            Destination(
                Scheme.CLICKHOUSE,
                hosts=(("h", 9000),),
                database="d",
                table="t",
                user="me",
                password="p@ss/",
            ),
        ),
        (
            "chdb:///var/lib/iot/",
            Destination(
                Scheme.CHDB, path="/var/lib/iot", database="benchmark", table="sensors_local"
            ),
        ),
        ("out.jsonl", Destination(Scheme.JSONL, path="out.jsonl")),
        ("./a:b/out.jsonl.gz", Destination(Scheme.JSONL_GZ, path="./a:b/out.jsonl.gz")),
        ("/tmp/out.parquet", Destination(Scheme.PARQUET, path="/tmp/out.parquet")),
        ("-", Destination(Scheme.STDOUT)),
        (" null: ", Destination(Scheme.NULL)),
    ],
)
def test_every_form(text: str, expected: Destination) -> None:
    assert parse_destination(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "pulsar://broker:6650,[::1]:6650",
        "pulsar+ssl://broker:6651,[::1]:6652",
        "clickhouse://h:8123/d.t",
        "chdb:///var/lib/iot",
        "out.jsonl",
        "-",
        "null:",
    ],
)
def test_the_url_reads_back_as_the_same_destination(text: str) -> None:
    destination = parse_destination(text)
    assert destination.url == text
    assert parse_destination(destination.url) == destination


def test_only_files_of_our_own_are_files() -> None:
    kinds = {text: parse_destination(text).is_file for text in ("a.jsonl", "b.parquet", "-")}
    assert kinds == {"a.jsonl": True, "b.parquet": True, "-": False}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "is empty", "pulsar://host"),
        ("pulsra://h:6650", "unknown scheme 'pulsra'", "did you mean pulsar://?"),
        ("kafka://h:9092", "unknown scheme 'kafka'", "known: pulsar://"),
        ("http://h:8080", "unknown scheme 'http'", "known: "),
        ("file:///tmp/x.jsonl", "file: is not needed", "the path itself"),
        ("s3://bucket/x.parquet", "unknown scheme 's3'", "known: "),
        ("pulsar", "is not a destination", "pulsar://…"),
        ("null", "is not a destination", "null:"),
        ("null:x", "more than null: needs", "null:"),
        ("localhost:6650", "is not a destination", "pulsar://localhost:6650"),
        ("10.0.0.1:6650", "is not a destination", "pulsar://10.0.0.1:6650"),
        ("out.json", "is not a destination", ".jsonl instead of .json"),
        ("out.parqet", "is not a destination", ".parquet instead of .parqet"),
        ("directory/", "is not a destination", "known: "),
        (".jsonl", "no file name", ""),
        ("pulsar:h:6650", "no // behind", ""),
        ("pulsar://", "'' is not a host", "host:port"),
        ("pulsar://:6650", "':6650' is not a host", ""),
        ("pulsar://a,,b", "'' is not a host", ""),
        ("pulsar://a b:6650", "'a b:6650' is not a host", ""),
        ("pulsar://-a", "'-a' is not a host", ""),
        ("pulsar://::1:6650", "'::1:6650' is not a host", "brackets"),
        ("pulsar://h:", "'' is not a port", "1 … 65535"),
        ("pulsar://h:0", "'0' is not a port", ""),
        ("pulsar://h:65536", "'65536' is not a port", ""),
        ("pulsar://h:65x", "'65x' is not a port", ""),
        ("pulsar://h:6650/my-topic", "ends with its port", "--topic my-topic"),
        ("pulsar://h:6650?a=b", "no parameters", ""),
        ("pulsar+ssl://token@h:6651", "takes no user and password", "PULSAR_TOKEN"),
        ("pulsar+tls://h:6651", "unknown scheme 'pulsar+tls'", "did you mean pulsar+ssl://?"),
        ("clickhouse://h", "does not name a table", "benchmark.sensors_local"),
        ("clickhouse://h/db", "does not name a table", ""),
        ("clickhouse://h/d.t;drop", "does not name a table", ""),
        ("clickhouse://a,b/d.t", "several hosts", ""),
        ("clickhouse://h/d.t?secure=1", "no parameters", ""),
        ("chdb://relative/dir", "does not name a directory", "three slashes"),
        ("chdb:///", "does not name a directory", ""),
    ],
)
def test_mistakes(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_destination(text)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_no_text_of_a_destination_holds_the_password() -> None:
    destination = parse_destination("clickhouse://me:hunter2@h:8123/d.t")
    assert destination.password == "hunter2"
    assert str(destination) == "clickhouse://me:***@h:8123/d.t"
    assert "hunter2" not in repr(destination)
    assert pickle.loads(pickle.dumps(destination)) == destination


@pytest.mark.parametrize(
    "text",
    [
        "clickhous://me:hunter2@h/d.t",
        "clickhouse:me:hunter2@h/d.t",
        "clickhouse://me:hunter2@h/",
        "clickhouse://me:hunter2@h:x/d.t",
        "clickhouse://me:hunter2@a b/d.t",
        "clickhouse://me:hunter2@a,b/d.t",
        "clickhouse://me:hunter2@h/d.t?secure=1",
        "clickhouse://me:hunter2/x@h/d.t",
        "clickhouse://me:x/hunter2@h/d.t",
        "clickhouse://me:x@hunter2@h/d.",
        "pulsar://me:hunter2@h:6650",
        "pulsar://me:x/hunter2@h:6650",
        "pulsar+ssl://me:hunter2@h:6650",
        "me:hunter2@h",
    ],
)
def test_no_error_holds_the_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_destination(text)
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clickhouse://me:x@h/d.t", "clickhouse://***@h/d.t"),
        ("me:x@h", "***@h"),
        ("out@2026.jsonl", "out@2026.jsonl"),
        ("pulsar://h:6650", "pulsar://h:6650"),
    ],
)
def test_redacted(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TOPIC, TOPIC),
        ("public/default/iot-sensor-data", TOPIC),
        ("iot-sensor-data", TOPIC),
        ("my-tenant/ns.1/a_b=c:d", "persistent://my-tenant/ns.1/a_b=c:d"),
    ],
)
def test_topics(text: str, expected: str) -> None:
    assert parse_topic(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("non-persistent://public/default/t", "nothing could be verified"),
        ("persistant://public/default/t", "persistant:// is not a topic's domain"),
        ("persistent://t", "is not a topic name"),
        ("persistent://public/default/", "is not a topic name"),
        ("a/b", "is not a topic name"),
        ("a/b/c/d", "is not a topic name"),
        ("", "is not a topic name"),
        ("iot sensor", "the character ' '"),
        ("public/default/größe", "the character 'ö'"),
        ("a?b", "the character '?'"),
        ("a\nb", "the character '\\n'"),
    ],
)
def test_topic_mistakes(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_topic(text)
    assert message in caught.value.message


def test_the_admin_url() -> None:
    assert parse_admin_url("http://h:8080/") == "http://h:8080"
    assert parse_admin_url("http://[::1]:8080") == "http://[::1]:8080"
    assert parse_admin_url("https://h:8443/") == "https://h:8443"
    for text, message in (
        ("https://", "not the address"),
        ("h:8080", "not the address"),
        ("http://me:hunter2@h", "not the address"),
        ("http://h:99999", "not a port"),
        ("http://h/admin/v2", "not the address"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            parse_admin_url(text)
        assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", ("127.0.0.1", 8080)),
        (" 0 ", ("127.0.0.1", 0)),
        ("0.0.0.0:8080", ("0.0.0.0", 8080)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:9", ("::1", 9)),
        ("off", None),
        ("OFF", None),
    ],
)
def test_where_to_listen(text: str, expected: tuple[str, int] | None) -> None:
    assert parse_listen_address(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "no", "host", "host:", ":8080", "h:65536", "65536", "-1", "http://h:1", "::1:80", "h:x"],
)
def test_where_nobody_can_listen(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_listen_address(text)
    assert f"{text!r} is not an address to listen on" in caught.value.message
    assert "0.0.0.0:8080" in caught.value.hint
