"""The image's health check: is /healthz of this container's producer well?

Promise: exit code 0 or 1, nothing imported but the standard library: it runs every half minute.
A broker that is away is not ill health (see /readyz for that); Kubernetes asks by itself and does
not run this.
"""

from __future__ import annotations

import http.client
import os


def main() -> int:
    """Ask; the exit code."""
    host, _, port = os.environ.get("IOT_PRODUCER_METRICS", "").rpartition(":")
    if not port.isdigit():
        return 0  # off: there is nobody to ask, and that was chosen
    if host in ("", "0.0.0.0", "[::]", "*"):  # noqa: S104 # listens everywhere, so here too
        host = "127.0.0.1"
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=2.0)
    try:
        connection.request("GET", "/healthz")
        return 0 if connection.getresponse().status == http.HTTPStatus.OK else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
