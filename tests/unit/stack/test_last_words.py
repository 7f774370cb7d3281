"""Why a broker died, from its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from iot_producer.errors import DestinationError, RefusedError, UnreachableError
from iot_producer.stack.last_words import explained, last_lines


@pytest.mark.parametrize(
    ("line", "kind", "hint"),
    [
        ("java.net.BindException: Address already in use", RefusedError, "other ports"),
        ("java.io.IOException: No space left on device", RefusedError, "disk is full"),
        ("java.lang.OutOfMemoryError: Java heap space", RefusedError, "--heap"),
        ("InvalidCookieException: Cookie", RefusedError, "--purge"),
        ("Unrecognized VM option 'X'", RefusedError, "--java-home"),
        ("something nobody has seen before", UnreachableError, "--purge"),
    ],
)
def test_a_known_reason_has_its_remedy(
    tmp_path: Path, line: str, kind: type[DestinationError], hint: str
) -> None:
    log = tmp_path / "log"
    log.write_text(f"12:00 [main] INFO  X - fine\n12:01 [main] ERROR X - {line}\n\tat a.b.C\n")
    error = explained("it died", (log, tmp_path / "missing"))
    assert type(error) is kind
    assert error.message == f"it died; it wrote at last:\n  12:01 [main] ERROR X - {line}"
    assert hint in error.hint
    assert str(log) in error.hint


def test_a_broker_that_only_told_its_progress_is_quoted_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("12:00 [main] INFO  X - one\n12:00 [main] INFO  X - two\n")
    assert explained("slow", (log,)).message.endswith("INFO  X - one\n  12:00 [main] INFO  X - two")


def test_a_broker_that_wrote_nothing(tmp_path: Path) -> None:
    assert explained("it died", (tmp_path / "missing",)).message == "it died"


def test_only_the_end_of_a_long_file_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {i}\n" for i in range(100_000)))
    assert last_lines([log], 2) == ["line 99998", "line 99999"]
    log.write_bytes(b"\xff" * 10 + b"x" * 1000)
    assert [len(line) for line in last_lines([log])] == [300]
