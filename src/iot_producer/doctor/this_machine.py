"""What this machine brings: its CPUs, its checksum instructions, its compiled kernels.

Promise: facts that do not depend on any broker. Nothing is compiled. It must not know Pulsar.
"""

from __future__ import annotations

import google_crc32c

from iot_producer import figures
from iot_producer.doctor.findings import Finding, Verdict
from iot_producer.machine import describe_machine


def examine_machine(kernels_are_warm: bool) -> list[Finding]:
    """Findings about this machine.

    Args:
        kernels_are_warm: whether the kernels are compiled.
    """
    machine = describe_machine()
    n_cpus = machine["n_cpus"]
    assert isinstance(n_cpus, int)
    text = f"{figures.plural(n_cpus, 'CPU')}, {machine['cpu']}, Python {machine['python']}"
    return [
        Finding("machine", Verdict.OK, text, facts=machine),
        _checksum(),
        _kernels(kernels_are_warm),
    ]


def _checksum() -> Finding:
    implementation = google_crc32c.implementation
    facts = {"implementation": implementation}
    if implementation == "c":
        return Finding("checksums", Verdict.OK, "compiled CRC-32C", facts=facts)
    return Finding(
        "checksums",
        Verdict.WARNING,
        "CRC-32C is in plain Python here, which is far too slow for high rates",
        "install google-crc32c from a wheel for this platform",
        facts,
    )


def _kernels(are_warm: bool) -> Finding:
    facts = {"are_warm": are_warm}
    if are_warm:
        return Finding("kernels", Verdict.OK, "compiled for this version", facts=facts)
    return Finding(
        "kernels",
        Verdict.NOTE,
        "not compiled yet: the first run takes about 10 s longer to begin",
        "iot-producer preview -n 1 compiles them",
        facts,
    )
