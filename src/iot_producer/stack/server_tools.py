"""How a command-line tool of the server distribution is started: pulsar-perf, pulsar-client.

Promise: the same Java, classes and options as the distribution's own scripts in ``bin``, which need
a shell and look for Java by themselves. It must not run anything, nor know what a tool does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from iot_producer.stack.java import Java

PERF: Final = "org.apache.pulsar.testclient.PulsarPerfTestTool"
"""``bin/pulsar-perf``."""
CLIENT: Final = "org.apache.pulsar.client.cli.PulsarClientTool"
"""``bin/pulsar-client``."""

_OPENED: Final = ("sun.net", "java.lang", "java.util.zip", "java.nio", "jdk.internal.misc")
_UNSAFE_FLAG_SINCE: Final = 23


def tool_command(java: Java, server: Path, tool: str, heap_mb: int = 512) -> list[str]:
    """A tool's command line; its own arguments go behind it.

    Args:
        java: that runs it.
        server: the unpacked distribution.
        tool: `PERF` or `CLIENT`.
        heap_mb: largest Java heap, and as much outside of it, MiB.
    """
    return [
        str(java.executable),
        "-cp",
        f"{server}/conf:{server}/lib/*",
        f"-Xmx{heap_mb}m",
        f"-XX:MaxDirectMemorySize={heap_mb}m",
        "-XX:-UsePerfData",
        "-Djava.net.preferIPv4Stack=true",
        "-Dio.netty.tryReflectionSetAccessible=true",
        *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED),
        *(
            ["--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED"]
            if java.version >= _UNSAFE_FLAG_SINCE
            else []
        ),
        "-Dpulsar.log.level=warn",
        "-Dpulsar.log.root.level=warn",
        tool,
        f"{server}/conf/client.conf",
    ]
