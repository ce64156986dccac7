"""Build method `command`: a line of the operator's makes the disk, under HybridOps' environment contract.

The line is the operator's own and runs through `bash -c`; nothing of ours is ever put into it. What the build wants
to tell it stands in `HYOPS_VYOS_*` variables.
"""

import os
from pathlib import Path

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.settings import Command
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.inspection.guest import DATASOURCES
from hyops_assets.image.methods.finishing import finish
from hyops_assets.image.methods.logged import run_logged
from hyops_assets.image.methods.method import BuildFailed, BuildRequest, MadeDisk
from hyops_assets.image.methods.produced import decode_disk

_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
_GIB = 1 << 30


class CommandNotUsable(Refused):
    """The command cannot be run as it is configured."""


def build_with_command(request: BuildRequest) -> MadeDisk:
    """Run the configured command and make an image of the disk that it leaves.

    The disk must appear where `HYOPS_VYOS_ARTIFACT_LOCAL_PATH` says, in a directory that is empty before: what an
    earlier run left elsewhere is not taken. Unless the command is said to be complete, the disk counts as a plain
    installation and gets our overlay.

    Raises:
        CommandNotUsable: no working directory, or a variable that it needs is not set.
        ProgramFailed: the command failed or took too long; carries its last lines.
        BuildFailed: it ended well and left no disk, or none of this release.
        NotPlainQcow2, BadQcow2, NotADisk: what it left is no usable disk.
    """
    command = request.settings.command
    if command is None:
        raise CommandNotUsable("no command is configured", hint="set build.command in config/pipeline.yml")
    secrets = _secrets(command)
    if not command.build_workdir.is_dir():
        raise CommandNotUsable(
            f"build_workdir {command.build_workdir} is no directory", hint="create it, or correct build.command"
        )
    promised = request.scratch / "command" / f"{request.version}.qcow2"
    promised.parent.mkdir()
    begun = promised.parent.stat().st_mtime_ns
    transcript = run_logged(
        ["bash", "-c", command.build_command],
        stage="build command",
        timeout=command.timeout_seconds,
        env={**_inherited(), **secrets, **environment_contract(request, promised)},
        cwd=command.build_workdir,
        secrets=list(secrets.values()),
        progress=request.progress,
    )
    _require_own(promised, begun, transcript.tail())
    accelerator = "tcg" if command.allow_tcg else "unknown"
    raw = request.destination if command.complete else request.scratch / "command.raw"
    format_ = decode_disk(promised, raw, progress=request.progress)
    detail = {"produced": {"format": format_, "sha256": sha256_of_file(promised)}, "complete": command.complete}
    promised.unlink()
    if command.complete:
        return MadeDisk(accelerator, reproducible=False, detail=detail)
    finished = finish(
        raw,
        request.opened,
        request.overlay,
        destination=request.destination,
        scratch=request.scratch,
        progress=request.progress,
    )
    raw.unlink()
    return MadeDisk(accelerator, reproducible=False, detail={**detail, "dropped": finished.dropped})


def environment_contract(request: BuildRequest, promised: Path) -> dict[str, str]:
    """Return the variables of HybridOps' environment contract, and where the canonical helper lies.

    Args:
        request: the disk to build.
        promised: where the command must leave it.
    """
    settings = request.settings
    allow_tcg = settings.command is not None and settings.command.allow_tcg
    told = {
        "ARTIFACT_KEY": settings.key_of(request.opened.release),
        "ARTIFACT_FORMAT": "qcow2",
        "ARTIFACT_VERSION": request.version,
        "ARTIFACT_LOCAL_PATH": str(promised.absolute()),
        "ARTIFACT_URL": "",
        "SOURCE_ISO_URL": request.source_iso_url,
        "SOURCE_ISO_PATH": str(request.iso.absolute()),
        "ISO_BUILD_METHOD": "command",
        "IMAGE_VERSION": request.opened.release,
        "DISK_SIZE_GB": str(-(-settings.disk_bytes // _GIB)),
        "CLOUD_INIT_DS": ",".join(DATASOURCES),
        "GUEST_AGENT": "qemu",
        "REBUILD_IF_EXISTS": "1",
        "ALLOW_ISO_BUILD": "1",
        "ALLOW_TCG": "1" if allow_tcg else "0",
    }
    return {f"HYOPS_VYOS_{name}": value for name, value in told.items()} | {
        "HYOPS_CC_VYOS_SOURCE": str(request.helper.absolute())
    }


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _secrets(command: Command) -> dict[str, str]:
    missing = [name for name in command.environment if name not in os.environ]
    if missing:
        raise CommandNotUsable(
            f"build.command.environment names variables that are not set: {', '.join(missing)}",
            hint="export them before the run, or leave them out",
        )
    return {name: os.environ[name] for name in command.environment}


def _require_own(promised: Path, begun: int, said: str) -> None:
    """Require a file at the promised path that this run wrote.

    A link, or a file that was moved there, is what an earlier run left: perhaps the disk of another release.
    """
    wrong = None
    if promised.is_symlink() or not promised.is_file():
        wrong = "no file of its own" if promised.is_symlink() or promised.exists() else "nothing"
    elif promised.stat().st_nlink != 1:
        wrong = "a link to another file"
    elif promised.stat().st_mtime_ns < begun:
        wrong = "a file that is older than this run"
    if wrong:
        raise BuildFailed(
            f"the command ended well and left {wrong} at $HYOPS_VYOS_ARTIFACT_LOCAL_PATH"
            + (f"; it said last:\n{said}" if said else ""),
            hint="have it write the disk to that path in every run; the directory is empty before",
        )
