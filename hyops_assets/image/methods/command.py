"""Build method `command`: a line of the operator's makes the disk, under HybridOps' environment contract.

The line is the operator's own and runs through `bash -c`; nothing of ours is ever put into it. What the build wants
to tell it stands in `HYOPS_VYOS_*` variables.
"""

from pathlib import Path

from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.inspection.guest import DATASOURCES
from hyops_assets.image.methods.finishing import finish
from hyops_assets.image.methods.method import BuildFailed, BuildRequest, MadeDisk
from hyops_assets.image.methods.produced import decode_disk
from hyops_assets.image.operator_command import CommandNotUsable, OperatorCommand, hyops_vyos, run_command

_GIB = 1 << 30


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
    promised = request.scratch / "command" / f"{request.version}.qcow2"
    promised.parent.mkdir()
    begun = promised.parent.stat().st_mtime_ns
    line = OperatorCommand(
        command.build_command, command.build_workdir, command.environment, float(command.timeout_seconds)
    )
    transcript = run_command(
        line,
        stage="build command",
        variables=environment_contract(request, promised),
        scratch=promised.parent,
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
    variables = {
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
    return hyops_vyos(variables) | {"HYOPS_CC_VYOS_SOURCE": str(request.helper.absolute())}


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
