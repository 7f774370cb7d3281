"""The nearest known name to one that is not known, as a hint.

Promise: the same sentence wherever a name is misspelt. It must not know what the names are for.
"""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like ``word`` (case ignored), or None when none is near."""
    # difflib costs 5 ms to import and only a mistake needs it.
    from difflib import get_close_matches

    by_folded = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown ``word``: the nearest known name, or else all of them."""
    names = sorted(known)
    name = nearest(word, names)
    return f"did you mean {name}?" if name else f"known: {', '.join(names)}"
