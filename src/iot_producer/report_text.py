"""Reports as JSON text: rendered for people, sealed by a checksum, read with suspicion.

Promise: what is read back is what was written, or an error names what is wrong with it. It must not
know what is in a report.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final, TypeVar

from iot_producer.errors import ReportError

INTACT_HINT: Final = "Use the file as the run wrote it."

T = TypeVar("T")


def rendered(value: object, indent: str) -> str:
    """JSON with a line a member, so people can read it, and lists of numbers on one line."""
    deeper = indent + "  "
    if isinstance(value, Mapping) and value:
        members = (f"{deeper}{json.dumps(k)}: {rendered(v, deeper)}" for k, v in value.items())
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        items = (f"{deeper}{rendered(item, deeper)}" for item in value)
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def plain(table: Mapping[str, object]) -> object:
    """As JSON gives it back, so that writer and reader see the same and agree on the checksum."""
    return json.loads(json.dumps(dict(table), allow_nan=False))


def checksum_of(body: Mapping[str, object]) -> str:
    """The seal of a report: of all its members but itself."""
    text = json.dumps(body, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def parsed(text: str) -> dict[str, object]:
    """The object that a text holds.

    Raises:
        ReportError: it is no JSON object.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = "is empty" if not text.strip() else "is no JSON: it is damaged or cut off"
        raise ReportError(f"the report {problem} ({error})", INTACT_HINT) from error
    if not isinstance(body, dict):
        raise ReportError("the file is not a run report of iot-producer", INTACT_HINT)
    return body


def taken(table: Mapping[str, object], key: str, kind: type[T]) -> T:
    """A member of a table.

    Raises:
        ValueError: it is missing, or of another type.
    """
    value = table.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key!r} is missing or not of type {kind.__name__}")
    return value


def text_or_none(table: Mapping[str, object], key: str) -> str | None:
    """A member that is a text, or is missing or null; else ValueError."""
    return None if table.get(key) is None else taken(table, key, str)
