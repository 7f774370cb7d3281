from __future__ import annotations

import pytest

from iot_producer.pulsar.deduplication import Deduplication


def test_nothing_is_known_before_anybody_finds_out():
    known = Deduplication()
    known.heard(-1, has_stored=False)
    assert (known.is_on, known.is_in_doubt) == (None, True)


def test_an_id_proves_it_and_its_absence_proves_nothing():
    known = Deduplication()
    known.heard(-1, has_stored=True)
    assert known.is_on is None
    known.heard(7, has_stored=True)
    assert known.is_on is True
    known.heard(-1, has_stored=False)  # a partition that nothing was sent to yet
    assert known.is_on is True


@pytest.mark.parametrize("is_on", [True, False])
def test_the_namespaces_word_counts(is_on: bool):
    known = Deduplication()
    known.found(is_on)
    assert (known.is_on, known.is_in_doubt) == (is_on, False)
    known.heard(-1, has_stored=True)
    assert known.is_on is is_on


def test_ids_say_more_than_the_namespace_as_long_as_they_are_there():
    known = Deduplication()
    known.heard(7, has_stored=False)
    known.found(False)
    assert (known.is_on, known.is_in_doubt) == (True, False)


@pytest.mark.parametrize("is_on", [True, False])
def test_ids_that_are_gone_are_a_doubt_that_the_namespace_settles(is_on: bool):
    known = Deduplication()
    known.heard(7, has_stored=False)
    known.found(True)
    known.heard(-1, has_stored=True)
    assert (known.is_on, known.is_in_doubt) == (True, True)
    known.found(is_on)
    assert (known.is_on, known.is_in_doubt) == (is_on, False)
