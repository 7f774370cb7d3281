from __future__ import annotations

from iot_producer.stack import StackStatus
from iot_producer.stack_text import stack_text


def test_a_stack_that_is_up():
    status = StackStatus(
        "demo",
        "up",
        "pulsar://127.0.0.1:6650",
        "http://127.0.0.1:8080",
        pid=4711,
        version="4.0.1",
        java="Java 21 (/usr/bin/java)",
        home="/state/demo",
        log_file="/state/demo/logs/broker.log",
        resident_bytes=512_000_000,
        disk_bytes=99_000_000,
    )
    assert stack_text(status) == (
        "stack demo is up\n"
        "  broker     pulsar://127.0.0.1:6650\n"
        "  admin API  http://127.0.0.1:8080\n"
        "  server     Pulsar 4.0.1\n"
        "  Java       Java 21 (/usr/bin/java)\n"
        "  process    4711, 512 MB of memory\n"
        "  data       /state/demo (99.0 MB)\n"
        "  log        /state/demo/logs/broker.log\n"
        '  next       eval "$(iot-producer stack env)" makes every command use it'
    )


def test_a_stack_that_was_up_already_says_so():
    text = stack_text(StackStatus("a", "up", was_up=True))
    assert text.startswith("stack a was up already\n")


def test_a_stack_that_is_down_says_how_to_start_it():
    assert stack_text(StackStatus("default", "down")) == (
        "stack default is down\n  next       iot-producer stack up starts it"
    )


def test_a_stack_that_is_starting_has_no_advice():
    assert stack_text(StackStatus("a", "starting", pid=5)) == (
        "stack a is starting\n  process    5, 0 bytes of memory"
    )
