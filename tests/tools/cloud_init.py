"""Debian's real cloud-init on a guest's files, in a sandbox: its own programs, paths and configuration, no mocks.

Weaker than a boot: no kernel, no systemd, no network card. `test_cc_vyos_boot` does that; this takes seconds.
HYOPS_CLOUD_INIT=<checkout of cloud-init> runs the same on that checkout, such as 22.1, which VyOS' fork is based on.
"""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hyops_assets.image.overlay import overlay
from hyops_assets.image.programs import run
from hyops_assets.image.shipped import canonical_helper
from hyops_lab.lookalike import configtree, schema, validation
from hyops_lab.lookalike.iso import release_files
from tests.tools.shapes import RELEASE

PYTHON = Path("/usr/bin/python3")
_LIBRARIES = (
    *("attr", "certifi", "chardet", "charset-normalizer", "configobj", "idna", "jinja2", "json-pointer", "jsonpatch"),
    *("jsonschema", "markupsafe", "netifaces", "oauthlib", "pyrsistent", "requests", "serial", "six", "urllib3"),
    "yaml",
)
PACKAGES = ("cloud-init", *(f"python3-{name}" for name in _LIBRARIES))
SITE = "usr/lib/python3/dist-packages"
_OF_VYOS = ("usr/libexec/vyos", "usr/share/vyos")
_STAGES_PROGRAM = Path(__file__).parent / "guest_stages.py"
_AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
_DETECT_VIRT = Path("/usr/bin/systemd-detect-virt")
"""Says that the guest is no container. systemd 257 takes the sandbox for one, by its namespace of processes, and in a
container cloud-init reads no tables of the firmware: Hetzner's datasource would not find its cloud."""
_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Booted:
    """What a guest was left with: its configuration, what showed on its console, and cloud-init's result.json."""

    config: str
    console: str
    result: dict[str, Any]

    @property
    def errors(self) -> str:
        return " ".join(self.result["v1"]["errors"])


def unpacked_packages(cache: Path) -> Path:
    """Return a root with Debian's cloud-init and what it imports; downloaded through apt once."""
    ready = cache / "cloud-init-guest"
    if not ready.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".cloud-init.") as scratch:
            sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
            run(["apt-get", *sandbox, "download", *PACKAGES], cwd=Path(scratch), timeout=300)
            for package in sorted(Path(scratch).glob("*.deb")):
                run(["dpkg-deb", "-x", package, Path(scratch) / "root"])
            # Nothing can be written beside them in the sandbox, and every stage would compile them again.
            run([PYTHON, "-m", "compileall", "-q", Path(scratch) / "root" / SITE], timeout=300)
            try:
                (Path(scratch) / "root").rename(ready)
            except OSError:
                # Another run was faster: its directory is as good as this one.
                if not ready.exists():
                    raise
    return ready


def make_site(packages: Path, site: Path) -> Path:
    """Make the Python packages of a guest: cloud-init with the canonical module in it, and VyOS' ConfigTree."""
    shutil.copytree(packages / SITE, site, symlinks=True)
    if checkout := os.environ.get("HYOPS_CLOUD_INIT"):
        shutil.rmtree(site / "cloudinit")
        shutil.copytree(Path(checkout) / "cloudinit", site / "cloudinit")
    shutil.copyfile(canonical_helper(), site / Path(overlay.HELPER).relative_to(f"/{SITE}"))
    (site / "vyos").mkdir()
    (site / "vyos/__init__.py").touch()
    for module in (configtree, validation):
        shutil.copyfile(str(module.__file__), site / "vyos" / Path(str(module.__file__)).name)
    return site


class Machine:
    """A guest's files, as the overlay puts them over a VyOS root.

    Args:
        root: an empty directory.
        packages: from `unpacked_packages`.
        site: from `make_site`; machines may share it.
    """

    def __init__(self, root: Path, packages: Path, site: Path) -> None:
        self.root = root
        self.site = site
        shutil.copytree(packages / "etc/cloud", root / "etc/cloud")
        ours = Path(overlay.__file__).parent / "guest" / Path(overlay.CONFIGURATION).name
        shutil.copyfile(ours, root / overlay.CONFIGURATION.lstrip("/"))
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\nadm:x:0:\n")
        # Debian 13's python3-requests reads the authorities as it is imported.
        (root / _AUTHORITIES).parent.mkdir(parents=True)
        shutil.copyfile(Path("/") / _AUTHORITIES, root / _AUTHORITIES)
        for name, text in schema.templates().items():
            path = root / "opt/vyatta/share/vyatta-cfg/templates" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (root / "opt/vyatta/etc/config").mkdir(parents=True)
        for name, content in release_files(RELEASE).items():
            if name.startswith(_OF_VYOS):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(content)
                (root / name).chmod(0o755)
        self._detect_virt = root / "detect-virt"
        self._detect_virt.write_text("#!/bin/sh\nexit 1\n")
        self._detect_virt.chmod(0o755)
        for name in ("run", "sys/class/net", "sys/class/dmi/id", "var/lib/cloud/seed", "var/log", "metadata"):
            (root / name).mkdir(parents=True)

    def seed(self, files: dict[str, str]) -> None:
        """Lay a NoCloud seed where the guest finds it without a disk; without files, take it away."""
        place = self.root / "var/lib/cloud/seed/nocloud-net"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name, text in files.items():
            (place / name).write_text(text)

    def serve(self, files: dict[str, bytes], *, vendor: str, serial: str) -> None:
        """Serve files at 169.254.169.254, and name the cloud in the firmware's tables."""
        for path, content in files.items():
            # One flat name each: Hetzner's /metadata is a document and has documents below it.
            (self.root / "metadata" / quote(path, safe="")).write_bytes(content)
        for name, text in {"sys_vendor": vendor, "product_serial": serial}.items():
            (self.root / "sys/class/dmi/id" / name).write_text(f"{text}\n")

    def boot(self) -> Booted:
        """Run cloud-init's stages in their order."""
        # What a reboot empties.
        shutil.rmtree(self.root / "run")
        (self.root / "run").mkdir()
        argv = ["bwrap", "--unshare-all", "--uid", "0", "--gid", "0", "--cap-add", "ALL", "--clearenv"]
        argv += ["--setenv", "PATH", "/usr/sbin:/usr/bin:/sbin:/bin", "--die-with-parent", "--new-session"]
        for path in sorted(Path("/usr").iterdir()):
            # This host's, but for what VyOS' own files stand in.
            argv += [] if path.name in ("share", "libexec") else ["--ro-bind", f"{path}", f"{path}"]
        if _DETECT_VIRT.exists():
            argv += ["--ro-bind", f"{self._detect_virt}", f"{_DETECT_VIRT}"]
        for name in _OF_VYOS:
            argv += ["--ro-bind", f"{self.root / name}", f"/{name}"]
        argv += ["--ro-bind", f"{self.site}", f"/{SITE}"]
        for name in ("bin", "sbin", "lib", "lib64"):
            argv += ["--symlink", f"usr/{name}", f"/{name}"]
        for name in ("etc", "metadata", "opt", "run", "sys", "var"):
            argv += ["--bind", f"{self.root / name}", f"/{name}"]
        argv += ["--tmpfs", "/tmp", "--tmpfs", "/root", "--proc", "/proc", "--dev", "/dev"]
        argv += ["--ro-bind", f"{_STAGES_PROGRAM}", "/stages.py", f"{PYTHON}", "/stages.py"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS)
        console = done.stdout + done.stderr
        result = self.root / "run/cloud-init/result.json"
        assert result.exists(), console
        config = self.root / "opt/vyatta/etc/config/config.boot"
        return Booted(config.read_text(), console, json.loads(result.read_text()))
