"""The client's lines become log records; what comes too often is counted."""

from __future__ import annotations

import logging

import pytest

from iot_producer.pulsar.client_log import CLIENT_LOGGER, Repeats, handle, last_words

LINE = "2026-11-22 16:51:28.996 {} [140429102151360] {} | {}"


def test_warnings_and_errors_keep_their_level(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, CLIENT_LOGGER):
        handle(LINE.format("WARN ", "HandlerBase:1", "slow"), Repeats(), 0.0)
        handle(LINE.format("ERROR", "ClientConnection:2", "lost"), Repeats(), 0.0)
    assert caplog.record_tuples == [
        (CLIENT_LOGGER, logging.WARNING, "slow"),
        (CLIENT_LOGGER, logging.ERROR, "lost"),
    ]


def test_other_lines_are_dropped(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, CLIENT_LOGGER):
        handle(LINE.format("INFO ", "HandlerBase:1", "fine"), Repeats(), 0.0)
        handle("terminate called", Repeats(), 0.0)
        handle("", Repeats(), 0.0)
    assert caplog.records == []


def test_a_place_speaks_once_in_ten_seconds(caplog: pytest.LogCaptureFixture):
    repeats = Repeats()
    with caplog.at_level(logging.DEBUG, CLIENT_LOGGER):
        for now_s in (100.0, 101.0, 109.9, 110.0, 120.0):
            handle(LINE.format("WARN ", "HandlerBase:1", f"at {now_s}"), repeats, now_s)
        handle(LINE.format("WARN ", "HandlerBase:2", "another place"), repeats, 100.0)
    assert caplog.messages == [
        "at 100.0",
        "at 110.0 (and 2 more like it)",
        "at 120.0",
        "another place",
    ]


def test_the_last_words_are_kept_though_they_are_not_logged_again():
    repeats = Repeats()
    handle(LINE.format("WARN ", "HandlerBase:1", "first"), repeats, 0.0)
    handle(LINE.format("WARN ", "HandlerBase:1", "second"), repeats, 1.0)
    handle(LINE.format("INFO ", "HandlerBase:1", "no warning"), repeats, 2.0)
    assert last_words() == "second"
