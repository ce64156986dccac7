"""The lab's certificate authority: what its TLS servers are signed by. Its private key never touches the disk.

A client trusts it through a bundle file (`SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`, a site's `ca_file`), as it
would trust a company's own authority.
"""

import ssl
from pathlib import Path

import trustme

_SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


class Authority:
    """A fresh authority and the bundle that trusts it besides the system's own."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._ca = trustme.CA(organization_name="HyOps lab", organization_unit_name="stand-ins on loopback")
        self.certificate_file = directory / "lab-ca.pem"
        self.bundle_file = directory / "bundle.pem"
        pem = self._ca.cert_pem.bytes()
        self.certificate_file.write_bytes(pem)
        self.bundle_file.write_bytes((_SYSTEM_BUNDLE.read_bytes() if _SYSTEM_BUNDLE.exists() else b"") + pem)

    def server_context(self, *hosts: str) -> ssl.SSLContext:
        """Return a TLS context for a server that is reached under these host names or addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*hosts).configure_cert(context)
        return context
