"""What a killed broker leaves in its metadata, and its removal before the next start.

Promise: after an unclean end the storage's old registration is gone before the broker starts, or it
is said that it is not. This module must not know how the broker is started.

The storage (the bookie) notes in the metadata that it is there, and takes that back when it ends by
itself. Where it finds an old note at its start, it deletes it and writes its own, and may then take
the late news of that deletion for the loss of its own: it deletes that one to write it anew, gets
news of that too, and so on without end (seen in 4.0.8 after one kill in seven: thousands of rounds
a second, half of the time without a storage, so that topics took 30 s and more to load). A command
of the server that lists the storages removes old notes on the way, and takes a second.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from iot_producer.stack import broker_files
from iot_producer.stack.file_lock import write_whole
from iot_producer.stack.java import Java
from iot_producer.stack.process import inherited_environment
from iot_producer.stack.stack_config import Say

_STORAGE_RUNS: Final = "current/DIRTY"
_CONF_FILE: Final = "storage.conf"
_LOG_FILE: Final = "logs/unclean-end.log"
_TIMEOUT_S: Final = 60.0
_DRIVER: Final = "org.apache.pulsar.metadata.bookkeeper.PulsarMetadata"


def was_unclean(home: Path) -> bool:
    """Whether the storage of a stack that is down has not ended by itself.

    Args:
        home: the stack's folder.
    """
    return (home / broker_files.DATA_FOLDERS[1] / _STORAGE_RUNS).exists()


def clear(home: Path, java: Java, server: Path, say: Say) -> None:
    """Remove the storage's old registration.

    Args:
        home: the stack's folder, with the files that the broker reads; nothing may run in it.
        java: that runs the server.
        server: the unpacked distribution.
        say: told if it did not succeed; the broker can be started all the same.

    Raises:
        OSError: a file cannot be written, or Java not be started.
    """
    conf = home / broker_files.TEMPORARY_FOLDER / _CONF_FILE
    metadata = home / broker_files.DATA_FOLDERS[0]
    write_whole(conf, f"metadataServiceUri=metadata-store:rocksdb://{metadata}\n")
    try:
        ended = subprocess.run(
            _command_line(home, java, server, conf),
            cwd=home,
            env=inherited_environment(broker_files.JAVA_OPTION_VARIABLES),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        why = f"no end in {_TIMEOUT_S:.0f} s"
    else:
        if ended.returncode == 0:
            return
        why = f"exit code {ended.returncode}"
    say(
        f"note: what the storage left in the metadata could not be removed ({why}, see "
        f"{home / _LOG_FILE}): topics may be slow to load until the next stack down and up"
    )


def _command_line(home: Path, java: Java, server: Path, conf: Path) -> list[str]:
    return [
        str(java.executable),
        "-cp",
        f"{server}/conf:{server}/lib/*",
        broker_files.marker(home),
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx128m",
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={home / broker_files.TEMPORARY_FOLDER}",
        "-Djava.net.preferIPv4Stack=true",
        f"-Dbookkeeper.metadata.bookie.drivers={_DRIVER}BookieDriver",
        f"-Dbookkeeper.metadata.client.drivers={_DRIVER}ClientDriver",
        "-Dlog4j2.is.webapp=false",
        f"-Dlog4j.configurationFile={home / broker_files.LOG_CONF_FILE}",
        f"-Diot.log={home / _LOG_FILE}",
        "org.apache.bookkeeper.bookie.BookieShell",
        "-conf",
        str(conf),
        "listbookies",
        "-readwrite",
    ]
