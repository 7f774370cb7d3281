"""What a lane tells about itself while it runs, so that its records can be verified without it.

Promise: an entry of the journal is small (`MOST_BYTES`), says which version it is of, and carries a
checksum; what is read back is what was written, or its problem is named. The newest entry of a key
says all that those before it said. It must not know where entries are kept, and reads no clock.

A key is a lane, its plan and when the lane was claimed, so no run ever overwrites what another one
said. An entry holds a run report of that one lane, without machine, settings and histograms, and
what the broker knew of the lane's name when it was claimed: with it the readers close what a
predecessor left open (lane_succession.py). At the maximum rate the starts of blocks would grow
without bound: they are packed, and spread over several parts, each with a key of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer.errors import ReportError
from iot_producer.lane_account import coarsened, n_ranges_of, settled
from iot_producer.lane_report import LaneReport
from iot_producer.latency import Latencies
from iot_producer.outcome import TallySnapshot
from iot_producer.report import RunReport
from iot_producer.report_text import checksum_of, parsed, taken

__all__ = [
    "PART_BLOCKS",
    "LaneEntry",
    "LaneHead",
    "entries_of",
    "entry_bytes",
    "key_of",
    "newest",
    "runs_topic",
    "settled",
]

FORMAT_VERSION: Final = 1
KIND: Final = "iot-producer lane journal"
MOST_BYTES: Final = 1 << 20
"""Of an entry: a fifth of what a broker takes by default."""
PART_BLOCKS: Final = 1 << 17
"""A part of the journal that has so many blocks is full: about 600 kB."""
TOPIC_ENDING: Final = "-runs"

_LEFT_OUT: Final = (
    "checksum",
    "summary",
    "sink",
    "tally",
    "machine",
    "config",
    "lanes",
    "earlier",
)
_NO_LATENCIES: Final = Latencies.empty().to_dict()


@dataclass(frozen=True, slots=True, eq=False)
class LaneHead:
    """What does not change about a lane while one process runs it.

    Attributes:
        name: of its producer on the topic.
        index: which lane of its plan it is.
        run: the run report without any lanes: the plan.
        claimed_ns: when the lane was claimed, ns since the epoch.
        last_ids: by partition (one where the topic has none), the sequence id that the broker had
            stored last under the name when it was claimed, which is an intended time in ns since
            the epoch; −1: it knew of none.
        may_skip: the lane leaves out messages that would be too late (``--on-overload drop``).
    """

    name: str
    index: int
    run: RunReport
    claimed_ns: int
    last_ids: tuple[int, ...] = ()
    may_skip: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LaneEntry:
    """What a lane said of itself at a moment.

    Attributes:
        head: the lane.
        lane: what became of its messages until then; see `settled`.
        published_ns: the moment, ns since the epoch.
        has_ended: nothing comes after this.
        open_until_ns: it may have sent more than it says, intended up to then; 0: it has not.
    """

    head: LaneHead
    lane: LaneReport
    published_ns: int
    has_ended: bool = False
    open_until_ns: int = 0

    @property
    def report(self) -> RunReport:
        """As the report of a run of this one lane."""
        return replace(self.head.run, lanes=(self.lane,))


def runs_topic(topic: str) -> str:
    """Where the journals of the lanes of a topic are kept."""
    return topic + TOPIC_ENDING


def key_of(head: LaneHead, part: int = 0) -> str:
    """The key of a lane's entries: newer ones of a key replace older ones."""
    plan = json.dumps([_plan_of(head.run), head.claimed_ns], sort_keys=True)
    digest = hashlib.sha256(plan.encode()).hexdigest()[:16]
    return f"{head.name}/{digest}" + (f"/{part}" if part else "")


def entry_bytes(entry: LaneEntry, part: int = 0, first_block: int = 0) -> bytes:
    """An entry as it is kept.

    Args:
        entry: what to keep; where its ranges are too many, the oldest count as unconfirmed.
        part: which part of the journal.
        first_block: the first of the blocks that belong to this part and not to earlier ones.
    """
    lane = entry.lane
    while True:
        text = _text_of(replace(entry, lane=lane), part, first_block)
        n_ranges = n_ranges_of(lane.ranges)
        if len(text) <= MOST_BYTES or n_ranges < 2:
            return text
        lane = coarsened(lane, n_ranges // 2)


def entries_of(kept: Mapping[str, bytes]) -> tuple[list[LaneEntry], list[str]]:
    """Read the newest entries.

    Args:
        kept: by key, what `entry_bytes` gave last.

    Returns:
        the entries in the order of their claims, and what is wrong with those that cannot be read.
    """
    problems: list[str] = []
    parts: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for key, text in kept.items():
        try:
            body = _body_of(text)
            name, part = taken(body, "key", str), taken(body, "part", int)
            parts.setdefault(name, []).append((part, body))
        except (ReportError, ValueError) as error:
            problems.append(f"{key}: {error}")
    entries = []
    for name, bodies in parts.items():
        try:
            entries.append(_entry_of(name, sorted(bodies, key=lambda each: each[0])))
        except (ReportError, ValueError, OverflowError, TypeError, zlib.error) as error:
            problems.append(f"{name}: {error}")
    entries.sort(key=lambda entry: (entry.head.claimed_ns, entry.head.name))
    return entries, problems


def newest(entries: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """The last value of each key; an empty one removes it.

    Args:
        entries: keys and values in the order in which they were kept.
    """
    found: dict[str, bytes] = {}
    for key, text in entries:
        found.pop(key, None)
        if text:
            found[key] = text
    return found


def _plan_of(run: RunReport) -> object:
    return _report_body(run)["plan"]


def _report_body(report: RunReport) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(report.to_json())
    return body


def _text_of(entry: LaneEntry, part: int, first_block: int) -> bytes:
    head, lane = entry.head, entry.lane
    blocks = None if lane.blocks is None else lane.blocks.reshape(-1, 2)
    run = replace(head.run, machine={}, config={}, lanes=())
    report = _report_body(run)
    for left_out in _LEFT_OUT:
        del report[left_out]
    table = replace(lane, blocks=None).to_dict()
    del table["latencies"], table["blocks"]
    body: dict[str, object] = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "key": key_of(head),
        "part": part,
        "name": head.name,
        "claimed_ns": head.claimed_ns,
        "last_ids": list(head.last_ids),
        "may_skip": head.may_skip,
        "published_ns": entry.published_ns,
        "has_ended": entry.has_ended,
        "open_until_ns": entry.open_until_ns,
        "report": report,
        "lane": table,
        "first_block": first_block,
        "blocks": None if blocks is None else _packed(blocks[first_block:]),
    }
    text = json.dumps({**body, "checksum": checksum_of(body)}, separators=(",", ":"))
    return text.encode()


def _body_of(text: bytes) -> dict[str, Any]:
    try:
        body: dict[str, Any] = parsed(text.decode())
    except UnicodeDecodeError as error:
        raise ReportError("it is not text") from error
    if body.get("kind") != KIND:
        raise ReportError("it is no entry of a lane's journal")
    if body.get("format_version") != FORMAT_VERSION:
        raise ReportError(
            f"it has format {body.get('format_version')!r}, this program reads {FORMAT_VERSION}"
        )
    checksum = body.pop("checksum", None)
    if checksum != checksum_of(body):
        raise ReportError("it was changed or damaged: its checksum does not match")
    return body


def _entry_of(key: str, parts: list[tuple[int, dict[str, Any]]]) -> LaneEntry:
    """The entry that the newest of all parts holds, with the blocks of all of them."""
    body = parts[-1][1]
    table = {**taken(body, "lane", dict), "blocks": None, "latencies": _NO_LATENCIES}
    lane = LaneReport.from_dict(table)
    if body.get("blocks") is not None:
        lane = replace(lane, blocks=_blocks_of(key, parts))
    run = _run_of(taken(body, "report", dict))
    last_ids = taken(body, "last_ids", list)
    if any(type(last_id) is not int for last_id in last_ids):
        raise ValueError(f"not the last ids of a lane: {last_ids!r:.60}")
    head = LaneHead(
        taken(body, "name", str),
        lane.index,
        run,
        taken(body, "claimed_ns", int),
        tuple(last_ids),
        body.get("may_skip") is True,
    )
    return LaneEntry(
        head,
        lane,
        taken(body, "published_ns", int),
        body.get("has_ended") is True,
        taken(body, "open_until_ns", int),
    )


def _run_of(report: dict[str, Any]) -> RunReport:
    """A run report without lanes from what is kept of it."""
    body = {
        **report,
        "machine": {},
        "config": {},
        "lanes": [],
        "earlier": [],
        "tally": TallySnapshot().to_dict(),
    }
    return RunReport.from_json(json.dumps({**body, "checksum": checksum_of(body)}))


def _blocks_of(key: str, parts: list[tuple[int, dict[str, Any]]]) -> NDArray[np.int64]:
    pieces = []
    n_blocks = 0
    for number, (part, body) in enumerate(parts):
        if part != number or taken(body, "first_block", int) != n_blocks:
            raise ValueError(f"part {number} of {key} is missing")
        piece = _unpacked(taken(body, "blocks", str))
        n_blocks += len(piece)
        pieces.append(piece)
    return np.concatenate(pieces)


def _packed(blocks: NDArray[np.int64]) -> str:
    """Blocks as text: what changes from one to the next, byte by byte, compressed."""
    changes = np.diff(blocks, axis=0, prepend=np.zeros((1, 2), dtype=np.int64))
    numbers = np.ascontiguousarray(changes.T, dtype="<i8")
    planes = numbers.view(np.uint8).reshape(2, len(blocks), 8).transpose(0, 2, 1)
    return base64.b64encode(zlib.compress(planes.tobytes(), 1)).decode()


def _unpacked(text: str) -> NDArray[np.int64]:
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    n = len(planes) // 16
    changes = np.ascontiguousarray(planes.reshape(2, 8, n).transpose(0, 2, 1)).view("<i8")
    blocks: NDArray[np.int64] = np.cumsum(changes[:, :, 0].T, axis=0, dtype=np.int64)
    return blocks
