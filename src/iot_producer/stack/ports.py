"""TCP ports of the loopback address: given ones checked, others chosen.

Promise: a port returned here was free a moment ago. It must not know what will listen there.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from contextlib import closing
from typing import Final

from iot_producer.errors import ConfigError, RefusedError

LOOPBACK: Final = "127.0.0.1"

# Below the range from which Linux takes ports for outgoing connections (32768–60999): a client's
# connection might take one of those between the choice here and the moment the broker listens.
_CHOICE: Final = range(20_000, 32_000)
_TRIES: Final = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As Java's servers do: connections of a server that just ended do not block its port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except PermissionError as error:
            raise ConfigError(
                f"port {port} may not be used by this user", "give a port above 1023"
            ) from error
        except OSError:
            return False
    return True


def choose(
    what: str,
    given: int | None,
    preferred: Iterable[int | None] = (),
    taken: Iterable[int] = (),
    remedy: str = "give another port, or none to take a free one",
) -> int:
    """A port that is free.

    Args:
        what: what it is for, as messages call it.
        given: must be this one; None or 0 to choose.
        preferred: the first free one of these, if any is; None and 0 are passed over.
        taken: ports that are promised to somebody already.
        remedy: what to do where the given port is in use.

    Raises:
        RefusedError: the given port is in use.
        ConfigError: the given port is not for this user.
    """
    promised = set(taken)
    if given:
        if given in promised or not is_free(given):
            raise RefusedError(f"port {given} for {what} is in use", remedy)
        return given
    dice = random.SystemRandom()
    wishes = [port for port in preferred if port]
    for port in [*wishes, *(dice.choice(_CHOICE) for _ in range(_TRIES))]:
        if port not in promised and is_free(port):
            return port
    raise RefusedError(f"no free port was found for {what}", "give one")


def not_on_loopback(addresses: Iterable[tuple[str, int]]) -> list[str]:
    """Those addresses that other machines could reach, as ``address:port``."""
    return [f"{ip}:{port}" for ip, port in addresses if not _is_loopback(ip)]


def _is_loopback(ip: str) -> bool:
    plain = ip.removeprefix("::ffff:")
    return plain == "::1" or plain.startswith("127.")
