"""Whatever a broker that deduplicates does, entries are stored once, in order, and settled once."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fake_broker import NOWHERE, FakeBroker, Session
from iot_producer.pulsar.commands import CommandType, ServerError
from producer_cases import PRODUCER, SEND, Told, entry, opened

STORE = "store"
ACTIONS = (
    STORE,
    "store, and break before the receipt",
    "break",
    "store, and close the producer before the receipt",
    "close the producer",
    "refuse for now",
    "be just storing it",
)


class Deduplicating:
    """A broker's memory of one name; faults come as they are told, then none any more.

    Attributes:
        stored: first ids of entries, in the order in which they were stored.
    """

    def __init__(self, broker: FakeBroker, actions: list[str]) -> None:
        self.stored: list[int] = []
        self._broker = broker
        self._actions = actions
        self._late: tuple[int, int] | None = None  # begun, and not stored yet
        self._open: dict[Session, bool] = {}
        self._make = broker.answers[PRODUCER]
        self._close = broker.answers[CommandType.CLOSE_PRODUCER]
        broker.answers[PRODUCER] = self._made
        broker.answers[CommandType.CLOSE_PRODUCER] = self._closed
        broker.answers[SEND] = self._take

    def _made(self, session: Session, request: Any) -> None:
        self._finish()
        self._open[session] = True
        self._make(session, request)

    def _closed(self, session: Session, request: Any) -> None:
        self._finish()
        self._open[session] = False
        self._close(session, request)

    def _store(self, first_id: int, last_id: int) -> None:
        self.stored.append(first_id)
        self._broker.last_sequence_id = last_id

    def _finish(self) -> None:
        if self._late is not None:
            self._store(*self._late)
            self._late = None

    def _take(self, session: Session, send: Any) -> None:
        if not self._open.get(session):
            return  # recently closed
        if self._late is not None:
            # Nothing can be stored before it, and it is not known what becomes of it.
            session.send_error(send, ServerError.PERSISTENCE, "cannot determine")
            return
        if send.sequence_id <= self._broker.last_sequence_id:
            session.receipt(send, NOWHERE)
            return
        action = self._actions.pop() if self._actions else STORE
        ids = send.sequence_id, send.highest_sequence_id
        if action.startswith(STORE):
            self._store(*ids)
        if action == STORE:
            session.receipt(send)
        elif "break" in action:
            self._open[session] = False
            session.reset()
        elif "close" in action:
            self._open[session] = False
            session.say(CommandType.CLOSE_PRODUCER, producer_id=send.producer_id, request_id=0)
        elif action == "be just storing it":
            self._late = ids
            session.send_error(send, ServerError.PERSISTENCE, "cannot determine")
        else:
            self._open[session] = False  # what follows is not stored before it
            session.send_error(send, ServerError.PERSISTENCE)


@given(st.lists(st.sampled_from(ACTIONS), max_size=12), st.integers(1, 12), st.integers(0, 12))
def test_every_entry_is_stored_once_in_order_and_settled_once(
    actions: list[str], n_entries: int, n_at_once: int
):
    async def test() -> None:
        async with FakeBroker() as broker:
            told = Told()
            memory = Deduplicating(broker, list(actions))
            producer = await opened(broker, told)
            for i in range(n_entries):
                if i > n_at_once:
                    await broker.until(lambda i=i: len(told.settled_entries) >= i - n_at_once)
                producer.send(entry(producer, 100 * (i + 1)))
            await broker.until(lambda: len(told.settled_entries) == n_entries)
            assert told.settled_entries == [(100 * (i + 1), "") for i in range(n_entries)]
            assert memory.stored == [100 * (i + 1) for i in range(n_entries)]
            if producer.deduplicates:
                assert producer.n_maybe_duplicated == 0

    asyncio.run(test())
