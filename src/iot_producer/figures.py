"""Numbers as people read them: counts, rates, latencies, spans of time, bytes.

Promise: pure text of a number, in English, with separators of thousands, units that fit its size,
and never more digits than mean something. The way back, from what people write, is in
quantities.py. This module must not know what is counted or where it is shown.
"""

from __future__ import annotations

from typing import Final

_US: Final = 1_000
_MS: Final = 1_000_000
_S: Final = 1_000_000_000
_BYTE_UNITS: Final = ("kB", "MB", "GB", "TB", "PB")


def count(n: int, room: int = 0) -> str:
    """A number of things: ``1,234,567``.

    Args:
        n: the number.
        room: the most characters that it may take; 0: as many as it needs. What does not fit is
            rounded to millions, billions, … (``12,346M``).
    """
    text = f"{n:,}"
    for power, unit in ((6, "M"), (9, "G"), (12, "T"), (15, "P")):
        if not room or len(text) <= room:
            break
        text = f"{(n + 10**power // 2) // 10**power:,}{unit}"
    return text


def rate(per_s: float) -> str:
    """A number per second, without its unit: ``1,000``, ``12.5``, ``0.33``."""
    if per_s >= 99.95 or per_s == int(per_s):
        return f"{per_s:,.0f}"
    if per_s >= 9.995:
        return f"{per_s:.1f}".removesuffix(".0")
    if per_s >= 0.095:
        return f"{per_s:.2f}".rstrip("0").rstrip(".")
    return f"{per_s:.2g}"


def latency(ns: int) -> str:
    """A latency: ``850 µs``, ``1.2 ms``, ``123 ms``, ``4.5 s``, ``2m 05s``, ``1h 11m``."""
    if ns < _MS - _US // 2:
        return f"{(ns + _US // 2) // _US} µs"
    if ns < _S - _MS // 2:
        return f"{_short(ns, _MS)} ms"
    if ns < 60 * _S - _S // 20:
        return f"{_short(ns, _S)} s"
    minutes, seconds = divmod((ns + _S // 2) // _S, 60)
    if minutes < 60:
        return f"{minutes}m {seconds:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"


def clock(ns: int) -> str:
    """A span of time as a clock shows it, cut to seconds: ``0:42``, ``1:02:03``, ``3d 4:05:06``."""
    minutes, seconds = divmod(max(ns, 0) // _S, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}:{minutes:02d}:{seconds:02d}"
    if hours:
        return f"{hours}:{minutes:02d}:{seconds:02d}"
    return f"{minutes}:{seconds:02d}"


def duration(ns: int) -> str:
    """A span of time in words: ``250 ms``, ``20 s``, ``1 min 30 s``, ``2 d 3 h``."""
    if ns < 60 * _S - _S // 20:
        number, unit = latency(ns).split()
        return f"{number.removesuffix('.0')} {unit}"
    seconds = (ns + _S // 2) // _S
    parts = []
    for n_s, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        whole, seconds = divmod(seconds, n_s)
        if whole:
            parts.append(f"{whole} {unit}")
    return " ".join(parts)


def size(n_bytes: int | float) -> str:
    """A number of bytes in powers of ten: ``540 bytes``, ``0.54 MB``, ``10.8 MB``, ``1.23 TB``."""
    if n_bytes < 1000:
        return f"{n_bytes:.0f} bytes"
    value = n_bytes / 1000
    for unit in _BYTE_UNITS[:-1]:
        # 540 kB reads as 0.54 MB, next to rates in MB/s; larger units begin at 1.
        if value < (99.5 if unit == "kB" else 999.5):
            return f"{_three_digits(value)} {unit}"
        value /= 1000
    return f"{_three_digits(value)} {_BYTE_UNITS[-1]}"


def megabytes_per_s(bytes_per_s: float) -> str:
    """Bytes a second, always as ``MB/s`` so that lines compare: ``0.54 MB/s``."""
    return f"{_three_digits(bytes_per_s / 1e6)} MB/s"


def percent(share: float) -> str:
    """A share of 1: ``100 %``, ``99.9 %``, ``3.1 %``; what is not all is never called 100 %."""
    if share >= 1:
        return f"{share * 100:,.0f} %"
    return f"{min(share * 100, 99.9):.1f}".removesuffix(".0") + " %"


def plural(n: int, noun: str, nouns: str = "") -> str:
    """A number with its noun: ``1 lane``, ``2,000 lanes``."""
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def one_line(text: str) -> str:
    """A text from elsewhere on one line, without what would steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _short(ns: int, unit_ns: int) -> str:
    """One decimal below 100, none from there: columns of them keep still."""
    tenths = (ns * 10 + unit_ns // 2) // unit_ns
    if tenths >= 1000:
        return str((ns + unit_ns // 2) // unit_ns)
    return f"{tenths // 10}.{tenths % 10}"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
