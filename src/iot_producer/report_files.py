"""Run reports as files: one, several, those of a directory or of a pattern.

Promise: every file that is named is read, or an error says which one cannot be. It must not know
what the reports are for.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from iot_producer.errors import ReportError
from iot_producer.known_run import KnownRun
from iot_producer.report import RunReport

_ENDING: Final = "*.json"
_HINT: Final = "give the file that run wrote with --report"


def read_reports(written: Iterable[str], data_version: int | None = None) -> list[KnownRun]:
    """The runs of all reports that are meant.

    Args:
        written: paths of files, of directories (all their ``*.json``), or patterns such as
            ``runs/*.json``.
        data_version: of the records that this program makes; None: any will do.

    Raises:
        ReportError: there is no such file, or one is no report that can be used.
    """
    paths = list(dict.fromkeys(path for each in written for path in report_paths(each)))
    runs = []
    for path in paths:
        try:
            report = RunReport.from_json(_text_of(path), data_version)
        except ReportError as error:
            if len(paths) == 1:
                raise
            raise ReportError(f"{path}: {error.message}", error.hint) from error
        runs.append(KnownRun(report, str(path) if len(paths) > 1 else ""))
    return runs


def report_paths(written: str) -> list[Path]:
    """The files that a path, a directory or a pattern means, in the order of their names.

    Raises:
        ReportError: there is none.
    """
    given = Path(written)
    if given.is_dir():
        found = sorted(given.glob(_ENDING))
        if not found:
            raise ReportError(f"there is no report ({_ENDING}) in {given}", _HINT)
        return found
    if glob.has_magic(written) and not given.exists():
        found = sorted(Path(each) for each in glob.glob(written))
        if not found:
            raise ReportError(f"no file is named like {written}", _HINT)
        return found
    return [given]


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ReportError(f"there is no report {path}", "run writes it with --report") from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ReportError(f"the report {path} cannot be read: {why}", _HINT) from error
