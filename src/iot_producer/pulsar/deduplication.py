"""Whether a topic deduplicates, as far as anybody has found out.

Promise: "it does" and "it does not" are said only on evidence; what would fit both is None. It must
not know producers, journals, nor who tells a user.

What is evidence (docs/adr/0008-own-transport.md):

- A producer is told an id when it is made: the broker remembers ids, so it deduplicates.
- A producer that has stored something is told none: the broker does not deduplicate, or the topic
  was deleted and made anew meanwhile. Alone, that proves nothing.
- The lane's journal writes to a topic of the same namespace, and asks what the broker remembers of
  it. That proves what the namespace is set to.
"""

from __future__ import annotations


class Deduplication:
    """What is known of one topic; producers and the lane's journal tell it.

    They do so on several threads: each change is one assignment of a flag, and what a reader may
    see between two of them is what held before.

    Attributes:
        is_on: whether the topic deduplicates; None as long as that is not known.
        is_in_doubt: the namespace should be asked: it never was, or ids are gone that were there.
    """

    def __init__(self) -> None:
        self.is_on: bool | None = None
        self.is_in_doubt = True
        self._has_ids = False

    def heard(self, last_id: int, *, has_stored: bool) -> None:
        """A producer was made.

        Args:
            last_id: the last sequence id that the broker told it; −1: none.
            has_stored: whether it knows that something was stored under its name.
        """
        if last_id >= 0:
            self._has_ids = True
            self.is_on = True
        elif has_stored and self.is_on:
            # The topic was made anew, or deduplication was switched off: the namespace knows.
            self._has_ids = False
            self.is_in_doubt = True

    def found(self, is_on: bool) -> None:
        """The namespace was asked. Ids that are there say more: a topic may have its own policy."""
        if is_on or not self._has_ids:
            self.is_on = is_on
        self.is_in_doubt = False
