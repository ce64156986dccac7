"""apt, kept apart from the host: its own state, its own sources, and the ISO's list of installed packages.

Nothing of the host's configuration reaches it but the way to the network: a proxy or an authority that the host's
administrator set for apt or for everyone.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from hyops_assets.contract.errors import HyopsError, Refused, TransientError
from hyops_assets.image.overlay.unsolvable import unsolvable
from hyops_assets.image.programs import ProgramFailed, ending_of, find_program, run, running
from hyops_assets.image.space import space_needed

_UNTRUSTED = (
    "NO_PUBKEY",
    "BADSIG",
    "EXPKEYSIG",
    "REVKEYSIG",
    "is not signed",
    "isn't signed",
    "Missing key",
    "couldn't be verified",
    "Hash Sum mismatch",
    "File has unexpected size",
    "does not have a Release file",
    "is not valid yet",
    "is expired",
    "Clearsigned file isn't valid",
    "no longer signed",
    "list of sources could not be read",
)
"""What apt says of an index that it must not use; anything else that fails an update is the way to it."""

_KEEP = "Package: *\nPin: release a=now\nPin-Priority: 1001\n"
"""apt_preferences(5): what is installed is never replaced, so apt looks for a solution beside it, and says what
stands in the way where there is none. Without it apt would rather upgrade the ISO's C library."""

_INDEX_BYTES = 100 << 20
"""What the indexes of one Debian suite with its updates take on disk."""

_GONE = ("was not found", "Unable to locate", " 404 ", "File not found")
"""What apt says of a version, or of its file, that a source no longer has."""

_UPDATE_SECONDS = 300.0
_SOLVE_SECONDS = 120.0
_DOWNLOAD_SECONDS = 1800.0


class UntrustedSource(Refused):
    """A source is not signed by its keyring, is out of date, or serves other bytes than it signed."""


class SourceUnreachable(TransientError):
    """A source did not answer."""


class MissingVersion(HyopsError):
    """A source no longer serves the version that a lock names."""


class _AptFailed(ProgramFailed):
    """apt-get failed; `printed` is all that it said."""

    def __init__(self, argv: Sequence[str], why: str, printed: str) -> None:
        super().__init__(argv, why, printed)
        self.printed = printed


class Apt:
    """An apt of one directory. Use it through `isolated_apt`."""

    def __init__(self, configuration: Path) -> None:
        self._environment = {"APT_CONFIG": str(configuration), **_way_out()}

    def update(self) -> None:
        """Fetch the indexes of every source, and check their signatures.

        Raises:
            UntrustedSource: an index may not be used.
            SourceUnreachable: a source did not answer.
        """
        try:
            # Without this option apt-get ends with 0 although a source failed, and uses an older index.
            self._get("update", "--error-on=any", timeout=_UPDATE_SECONDS)
        except _AptFailed as error:
            raise _source_error(error) from error

    def solve(self, packages: Sequence[str]) -> list[str]:
        """Return one line per .deb that is to be added, as `apt-get install --print-uris` prints it.

        Raises:
            Unsolvable: apt finds no solution that leaves the ISO's packages as they are.
        """
        try:
            # Forced, because apt would print MD5; --no-upgrade keeps what the ISO already holds.
            printed = self._get(
                *("install", "--yes", "--print-uris", "--no-upgrade", "--no-remove"),
                *("-o", "Acquire::ForceHash=SHA256", "--", *packages),
                timeout=_SOLVE_SECONDS,
            )
        except _AptFailed as error:
            raise unsolvable(packages, error.printed, error.message) from error
        return [line for line in printed.splitlines() if line.startswith("'")]

    def download(self, versions: Mapping[str, str], directory: Path) -> None:
        """Put the .debs of these packages, in these versions, into a directory.

        Raises:
            MissingVersion: a source does not know one of them, or has lost its file.
            UntrustedSource: a .deb differs from what its index promises.
            SourceUnreachable: a source did not answer.
        """
        wanted = [f"{name}={version}" for name, version in sorted(versions.items())]
        try:
            self._get("download", "--", *wanted, timeout=_DOWNLOAD_SECONDS, cwd=directory)
        except _AptFailed as error:
            if any(word in error.printed for word in _GONE):
                raise MissingVersion(
                    f"the sources lack a locked package: {error.message}",
                    hint="name a source that keeps old versions in build.apt_sources (such as snapshot.debian.org), "
                    "or build without a lock",
                ) from error
            raise _source_error(error) from error

    def _get(self, *arguments: str, timeout: float, cwd: Path | None = None) -> str:
        """Run apt-get. What it says stands in one stream: why a solution fails is printed on standard output."""
        # The kernel ends apt when this process dies, even by SIGKILL: it would hold its lock against the next run.
        argv = ["setpriv", "--pdeathsig", "KILL", find_program("apt-get"), "--quiet", *arguments]
        with running(argv, env=self._environment, cwd=cwd, stderr=subprocess.STDOUT) as process:
            try:
                printed = process.communicate(timeout=timeout)[0].decode(errors="replace")
            except subprocess.TimeoutExpired as error:
                raise _AptFailed(argv[3:], f"did not end within {timeout:.0f} s", "") from error
            if process.returncode != 0:
                raise _AptFailed(argv[3:], ending_of(process.returncode), printed)
        return printed


@contextmanager
def isolated_apt(directory: Path, *, lines: Sequence[str], status: bytes, current: bool) -> Iterator[Apt]:
    """Give an apt whose whole world is a directory, for as long as the block lasts; others wait.

    Indexes stay in the directory, so that the next update fetches only what changed, and a killed one resumes.

    Args:
        directory: kept between runs.
        lines: sources.list, every line with its own `signed-by`.
        status: the dpkg status to solve against.
        current: whether an index past its `Valid-Until` is refused; a lock's own hashes make that needless.

    Raises:
        NoSpace: the directory's file system has no room for indexes, or was full in the middle.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with FileLock(directory / "lock"), space_needed(directory, _INDEX_BYTES):
        for room in ("state/lists/partial", "cache/archives/partial", "etc", "log"):
            (directory / room).mkdir(parents=True, exist_ok=True)
        (directory / "status").write_bytes(status)
        (directory / "etc" / "preferences").write_text(_KEEP)
        (directory / "etc" / "sources.list").write_text("".join(f"{line}\n" for line in lines))
        configuration = directory / "apt.conf"
        configuration.write_text(_configuration(directory.absolute(), current=current))
        yield Apt(configuration)


def _configuration(directory: Path, *, current: bool) -> str:
    if '"' in str(directory):
        raise Refused(f"apt cannot work in {directory}", hint="choose a runtime root without double quotes")
    settings = {
        "Dir::State": f"{directory}/state",
        "Dir::State::status": f"{directory}/status",
        "Dir::Cache": f"{directory}/cache",
        # Caches of what was solved: apt tells two status files apart by size and second only.
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Log": f"{directory}/log",
        "Dir::Etc": f"{directory}/etc",
        "Dir::Etc::sourcelist": f"{directory}/etc/sources.list",
        "Dir::Etc::preferences": f"{directory}/etc/preferences",
        **{f"Dir::Etc::{part}": "/dev/null" for part in ("sourceparts", "main", "parts", "preferencesparts")},
        **{f"Dir::Etc::{part}": "/dev/null" for part in ("trusted", "trustedparts", "netrc", "netrcparts")},
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Install-Recommends": "false",
        "APT::Install-Suggests": "false",
        # Our directories are private to the caller; root's apt would fetch as a user who cannot enter them.
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
    }
    authorities = os.environ.get("SSL_CERT_FILE")
    if authorities:
        settings["Acquire::https::CAInfo"] = authorities
    if not current:
        settings["Acquire::Check-Valid-Until"] = "false"
    return "".join(f'{name} "{value}";\n' for name, value in settings.items())


def _way_out() -> dict[str, str]:
    """Return the caller's proxy variables, else the proxies that the host's apt is set to use.

    Through the environment, never through a file or an argument: a proxy's URL may hold a password.
    """
    names = ("http_proxy", "https_proxy", "no_proxy")
    found = {name: os.environ.get(name) or os.environ.get(name.upper()) for name in names}
    if not any(found.values()):
        answers = run(
            ["apt-config", "shell", "http_proxy", "Acquire::http::Proxy", "https_proxy", "Acquire::https::Proxy"]
        )
        found |= dict(word.split("=", 1) for word in shlex.split(answers.text))
    return {name: value for name, value in found.items() if value}


def _source_error(error: _AptFailed) -> HyopsError:
    if any(word in error.printed for word in _UNTRUSTED):
        return UntrustedSource(
            f"an apt source may not be used: {error.message}",
            hint="correct the line or the keyring in build.apt_sources (config/pipeline.yml)",
        )
    return SourceUnreachable(
        f"an apt source did not answer: {error.message}", hint="check the network, then run again"
    )
