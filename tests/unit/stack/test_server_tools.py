from __future__ import annotations

from pathlib import Path

import pytest

from iot_producer.stack.java import Java
from iot_producer.stack.server_tools import CLIENT, PERF, tool_command


@pytest.mark.parametrize(("version", "is_asked"), [(17, False), (23, True)])
def test_a_tool_runs_on_the_distributions_classes(version: int, is_asked: bool):
    java = Java(Path("/jre/bin/java"), version, "as given")
    command = tool_command(java, Path("/server"), CLIENT, heap_mb=64)
    assert command[:3] == ["/jre/bin/java", "-cp", "/server/conf:/server/lib/*"]
    assert command[-2:] == [CLIENT, "/server/conf/client.conf"]
    assert "-Xmx64m" in command
    # Java before 23 refuses to start with an option that it does not know.
    assert ("--sun-misc-unsafe-memory-access=allow" in command) is is_asked


def test_tools_are_told_apart_by_their_class():
    java = Java(Path("java"), 17, "as given")
    assert PERF in tool_command(java, Path("s"), PERF)
    assert PERF != CLIENT
