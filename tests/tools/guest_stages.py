"""Runs inside the sandbox, as its first program: serves metadata where a cloud does, and runs cloud-init's stages."""

import http.server
import os
import subprocess
from pathlib import Path
from urllib.parse import quote

from cloudinit.cmd.main import main  # pyright: ignore[reportMissingImports]

METADATA = Path("/metadata")
ADDRESS = "169.254.169.254"
STAGES = (["init", "--local"], ["init"], ["modules", "--mode=config"], ["modules", "--mode=final"])


class Metadata(http.server.BaseHTTPRequestHandler):
    """Answers with the file that is named like the path."""

    def do_GET(self) -> None:
        document = METADATA / quote(self.path, safe="")
        self.send_response(200 if document.is_file() else 404)
        self.end_headers()
        if document.is_file():
            self.wfile.write(document.read_bytes())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's word
        """Keep the console to cloud-init."""


def serve_metadata() -> None:
    """Answer at the clouds' address for as long as the sandbox lives."""
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    server = http.server.ThreadingHTTPServer((ADDRESS, 80), Metadata)
    if os.fork() == 0:
        server.serve_forever()


if any(METADATA.iterdir()):
    serve_metadata()
for stage in STAGES:
    # A process for each, as systemd starts one, but cloud-init is imported once.
    child = os.fork()
    if child == 0:
        os._exit(int(bool(main(["cloud-init", *stage]))))
    os.waitpid(child, 0)
