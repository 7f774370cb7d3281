"""Several views as one."""

from __future__ import annotations

import pytest

from fake_run import report, snapshot
from iot_producer.report import RunReport
from iot_producer.snapshot import Snapshot
from iot_producer.view import Views


class Recorder:
    """A view that writes down what it is told; its reader may be gone."""

    def __init__(self, name: str, told: list[tuple[object, ...]], *, is_gone: bool = False) -> None:
        self._name = name
        self._told = told
        self._is_gone = is_gone

    def _tell(self, *what: object) -> None:
        self._told.append((self._name, *what))
        if self._is_gone:
            raise BrokenPipeError

    def say(self, level: str, text: str) -> None:
        self._tell(level, text)

    def beat(self) -> None:
        self._tell("beat")

    def draw(self, snapshot: Snapshot) -> None:
        self._tell(snapshot)

    def close(self, report: RunReport | None) -> None:
        self._tell(report)


def test_each_view_gets_all_of_it_in_their_order():
    told: list[tuple[object, ...]] = []
    views = Views((Recorder("a", told), Recorder("b", told)))
    now, end = snapshot(1, 10), report()
    views.say("info", "connected")
    views.beat()
    views.draw(now)
    views.close(end)
    assert told == [
        (name, *what)
        for what in (("info", "connected"), ("beat",), (now,), (end,))
        for name in ("a", "b")
    ]


def test_a_reader_that_is_gone_is_told_when_the_others_have_had_their_turn():
    told: list[tuple[object, ...]] = []
    views = Views((Recorder("a", told, is_gone=True), Recorder("b", told)))
    with pytest.raises(BrokenPipeError):
        views.draw(snapshot(1, 10))
    with pytest.raises(BrokenPipeError):
        views.close(None)
    assert [name for name, _ in told] == ["a", "b", "a", "b"]
