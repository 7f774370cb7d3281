"""Certificates of an authority of the tests' own, as PEM files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate with its chain, and its key."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates; its own is in the file ``trust_store``."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = name
        self._ca = trustme.CA(organization_name=f"tests {name}")
        self.trust_store = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(self.trust_store)

    def issue(self, *names: str, expired: bool = False, common_name: str | None = None) -> Pem:
        """A certificate for host names and addresses."""
        until = datetime.now(UTC) - timedelta(days=1) if expired else None
        # RSA and PKCS #8: what Pulsar's broker is sure to read.
        issued = self._ca.issue_cert(
            *names, common_name=common_name, not_after=until, key_type=trustme.KeyType.RSA
        )
        stem = f"{self._name}-{names[0].replace('*', 'any')}{'-expired' if expired else ''}"
        pem = Pem(self._folder / f"{stem}.cert.pem", self._folder / f"{stem}.key.pem")
        for i, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(pem.certificate, append=i > 0)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        pem.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pem
