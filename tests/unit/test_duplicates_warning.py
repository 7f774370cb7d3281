from __future__ import annotations

import pytest

from iot_producer.duplicates_warning import DuplicatesWarning
from iot_producer.sink_counters import SinkCounters

TOPIC = "persistent://public/here/t"


@pytest.mark.parametrize(
    ("deduplicates", "n_maybe_duplicated", "words"),
    [
        (False, 0, "public/here does not deduplicate: messages that are on their way when"),
        (False, 7, "public/here does not deduplicate: messages that are on their way when"),
        (None, 7, f"whether {TOPIC} deduplicates is not known: messages that are on their way"),
    ],
)
def test_it_is_said_once_and_not_more_than_is_known(
    deduplicates: bool | None, n_maybe_duplicated: int, words: str
):
    warning = DuplicatesWarning(TOPIC)
    assert warning.words(SinkCounters()) == ""
    counters = SinkCounters(n_maybe_duplicated=n_maybe_duplicated, deduplicates=deduplicates)
    assert warning.words(counters).startswith(words)
    assert warning.words(counters) == ""
    # Whatever is found out later, and by whichever lane.
    assert warning.words(SinkCounters(n_maybe_duplicated=9, deduplicates=False)) == ""


@pytest.mark.parametrize("counters", [SinkCounters(), SinkCounters(deduplicates=True)])
def test_there_is_nothing_to_say_where_nothing_can_be_there_twice(counters: SinkCounters):
    assert DuplicatesWarning(TOPIC).words(counters) == ""
