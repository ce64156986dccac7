"""Build method `packer`: VyOS' own installer in QEMU, its questions answered on the serial console.

Packer makes the disk, starts QEMU and waits for the power-off; the conversation is ours, so that the installation's
password is in no file, no argument list, no environment and no log. For cross-checking what `native` builds: the
installer leaves another disk every time.
"""

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen, TimeoutExpired

from hyops_assets.contract.errors import Refused
from hyops_assets.image.boot.accelerator import QEMU, Accelerator, probe
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.methods.finishing import finish
from hyops_assets.image.methods.installer import Patience, answer_installer, questions, random_password
from hyops_assets.image.methods.logged import Transcript, mortal
from hyops_assets.image.methods.method import BuildFailed, BuildRequest, MadeDisk
from hyops_assets.image.programs import find_program
from hyops_assets.image.shipped import shipped
from hyops_assets.image.tool_versions import tool_versions
from hyops_assets.settings.build import BuildSettings, Packer

_TEMPLATES = "tools/build/vyos/packer"
_TEMPLATE, _PLUGINS = "vyos.pkr.hcl", "plugins.pkr.hcl"
_BUILT_IN_BEFORE = (1, 7)
"""Packer's qemu builder is a plugin since this version."""

_CONSOLE, _LOG, _OUTPUT, _DISK = "console.sock", "packer.log", "output", "installed.raw"
_ENDING_SECONDS = 60.0
_TICK_SECONDS = 0.5
_MIB = 1 << 20


class PackerNotUsable(Refused):
    """A build with Packer cannot be done here."""


class NoKvm(PackerNotUsable):
    """Only emulation runs guests here, and a debug build was not asked for."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__(
            f"packer builds run under KVM, and no guest ran under it here: {accelerator.reason}",
            hint="use build.method native, which needs none, or set build.packer.allow_tcg: true for a debug build "
            "that is never published",
        )


def build_with_packer(request: BuildRequest) -> MadeDisk:
    """Install the ISO with Packer and make an image of the installed disk.

    Raises:
        NoKvm: there is only emulation, and `build.packer.allow_tcg` is not set.
        PackerNotUsable: the template is missing.
        MissingProgram: Packer or QEMU is not installed.
        InstallerDiffers: the installer asked or did what it should not; with the console's last lines.
        BuildFailed: Packer failed; with its last lines.
    """
    settings = request.settings.packer
    accelerator = probe()
    if accelerator.kind == "tcg" and not settings.allow_tcg:
        raise NoKvm(accelerator)
    own = request.scratch / "packer"
    own.mkdir()
    template = _stage_templates(settings, own)
    facts = {"template_sha256": sha256_of_file(template), "accelerator_reason": accelerator.reason}
    with _listening(own) as listener, _packer(request, accelerator, own) as process:
        try:
            with _accepted(listener, process, own, settings.boot_timeout_seconds) as console:
                answer_installer(
                    console,
                    questions(request.settings.console),
                    random_password(),
                    Patience(settings.boot_timeout_seconds, settings.step_timeout_seconds),
                    progress=request.progress,
                )
            _await_packer(process, own)
        finally:
            _said(own).end()
    installed = own / _OUTPUT / _DISK
    if not installed.is_file():
        raise BuildFailed(
            f"packer ended well and left no {_DISK}; it said last:\n{_said(own).tail()}",
            hint="compare your template with tools/build/vyos/packer/vyos.pkr.hcl",
        )
    finished = finish(
        installed,
        request.opened,
        request.overlay,
        destination=request.destination,
        scratch=request.scratch,
        progress=request.progress,
    )
    shutil.rmtree(own)
    return MadeDisk(
        accelerator.kind,
        reproducible=False,
        programs=("packer", QEMU),
        detail={**facts, "dropped": finished.dropped},
    )


def template_of(settings: Packer) -> Path:
    """Return the template that a build would use.

    Raises:
        PackerNotUsable: there is none where the settings say.
    """
    template = settings.template or shipped(_TEMPLATES) / _TEMPLATE
    if not template.is_file():
        raise PackerNotUsable(
            f"{template} does not exist",
            hint="correct build.packer.template",
        )
    return template


def _stage_templates(settings: Packer, own: Path) -> Path:
    """Copy what Packer reads into a directory of this build's own, and return the template there."""
    directory = own / "template"
    directory.mkdir()
    template = shutil.copyfile(template_of(settings), directory / _TEMPLATE)
    if _version() >= _BUILT_IN_BEFORE:
        shutil.copyfile(shipped(_TEMPLATES) / _PLUGINS, directory / _PLUGINS)
    return template


def _version() -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", tool_versions(["packer"])["packer"])
    return tuple(int(part) for part in found.groups()) if found else _BUILT_IN_BEFORE


def template_variables(settings: BuildSettings, iso: Path, accelerator: Accelerator) -> dict[str, str]:
    """Return what the template's variables are set to, but for the paths below the build's own directory."""
    packer = settings.packer
    longest = packer.boot_timeout_seconds + packer.step_timeout_seconds * len(questions(settings.console))
    return {
        "iso": str(iso.absolute()),
        "accelerator": accelerator.kind,
        "cpu": accelerator.processor,
        "disk_mib": str(settings.disk_bytes // _MIB),
        "memory_mib": str(packer.memory_mib),
        "timeout": f"{longest}s",
    }


@contextmanager
def _packer(request: BuildRequest, accelerator: Accelerator, own: Path) -> Iterator[Popen[bytes]]:
    """Run Packer; whatever ends this process, Packer and QEMU end with it."""
    variables = template_variables(request.settings, request.iso, accelerator) | {
        "console": _CONSOLE,
        "output_directory": _OUTPUT,
        "qemu": find_program(QEMU),
    }
    words = [word for name, value in variables.items() for word in ("-var", f"{name}={value}")]
    only_one = own / "template" / _TEMPLATE
    template = only_one.parent if (only_one.parent / _PLUGINS).exists() else only_one
    environment = {
        "CHECKPOINT_DISABLE": "1",
        "PACKER_CACHE_DIR": str((own / "cache").absolute()),
        "PACKER_CONFIG_DIR": str((own / "config").absolute()),
        # Packer's processes meet at sockets in TMPDIR, whose names may be 107 bytes long (unix(7)), and Packer crashes
        # over a longer one. All of them work in `own`, whose path may be longer than that.
        "TMPDIR": ".",
    }
    argv = ["packer", "build", "-color=false", "-on-error=cleanup", *words, template.absolute()]
    with (own / _LOG).open("wb") as log, mortal(argv, env=environment, cwd=own, stdout=log) as process:
        yield process


@contextmanager
def _listening(own: Path) -> Iterator[socket.socket]:
    """Listen before QEMU runs: it connects as it starts, and nothing that it shows is lost."""
    # The name of a socket may be 107 bytes long, and a scratch directory's longer: it is named from within.
    directory = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(f"/proc/self/fd/{directory}/{_CONSOLE}")
            listener.listen(1)
            yield listener
    finally:
        os.close(directory)


@contextmanager
def _accepted(
    listener: socket.socket, process: Popen[bytes], own: Path, timeout_seconds: float
) -> Iterator[socket.socket]:
    """Take QEMU's console, or say why it never started."""
    deadline = time.monotonic() + timeout_seconds
    listener.settimeout(_TICK_SECONDS)
    while True:
        try:
            console, _ = listener.accept()
            break
        except TimeoutError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise _failed(process, own) from None
    with console:
        yield console


def _await_packer(process: Popen[bytes], own: Path) -> None:
    try:
        process.wait(_ENDING_SECONDS)
    except TimeoutExpired:
        raise _failed(process, own) from None
    if process.returncode:
        raise _failed(process, own)


def _failed(process: Popen[bytes], own: Path) -> BuildFailed:
    status = process.poll()
    ending = "did not end" if status is None else f"ended with status {status}"
    return BuildFailed(f"packer {ending}:\n{_said(own).tail()}", hint="read its output above")


def _said(own: Path) -> Transcript:
    transcript = Transcript()
    transcript.add((own / _LOG).read_bytes())
    return transcript
