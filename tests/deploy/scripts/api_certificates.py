"""A certificate for 127.0.0.1, of an authority made for it."""

from __future__ import annotations

from pathlib import Path

import trustme


def authority(folder: Path) -> tuple[Path, Path, Path]:
    """Certificate, key, and the authority's certificate, as PEM files in ``folder``."""
    ca = trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    certificate, key, ca_file = folder / "api.pem", folder / "api.key", folder / "ca.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    ca.cert_pem.write_to_path(ca_file)
    return certificate, key, ca_file
