"""The overlay's packages: solved against the ISO, locked by hash, fetched, and checked byte by byte.

apt decides which packages; whether a .deb is the one that was locked is decided here, by its SHA-256, each time.
apt alone is not enough: it takes a tampered file of the right size from its cache.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.image.digests import sha256_of_bytes, sha256_of_file
from hyops_assets.image.dpkg import installed, suite_of
from hyops_assets.image.overlay.apt import Apt, MissingVersion, SourceUnreachable, UntrustedSource, isolated_apt
from hyops_assets.image.overlay.lock import LockedPackage, PackageLock
from hyops_assets.image.overlay.sources import NoSource, signed_lines
from hyops_assets.image.overlay.unsolvable import Unsolvable
from hyops_assets.settings.build import AptSource

_HASH = "SHA256:"
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]")
"""Debian policy §5.6.1, but for a trailing minus. apt-get would take other words for a version to choose, a package
to remove, a pattern, a task, or an unsigned file."""


class BadPackageName(Refused):
    """What is asked for is not the name of a package."""


class TamperedPackage(Refused):
    """A .deb is not the one that the lock names."""


def resolve(status: bytes, packages: Sequence[str], sources: Sequence[AptSource], cache: Path) -> PackageLock:
    """Decide which .debs bring these packages to an ISO, without touching any package that it holds.

    Args:
        status: the ISO's /var/lib/dpkg/status.
        packages: what is wanted, without its dependencies; Recommends are left out.
        sources: of the ISO's suite, each with the keyring that signs it.
        cache: a directory kept between runs; apt's indexes stay there.

    Returns:
        The lock. What the ISO already holds is not in it; it may be empty.

    Raises:
        BadPackageName: one of `packages` is no name.
        BadStatus: the status does not tell the ISO's suite.
        BadSource: a source may not be used.
        UntrustedSource: a source is not signed by its keyring, or is out of date.
        SourceUnreachable: a source did not answer.
        Unsolvable: there is no solution, or only one that changes a package of the ISO.
    """
    for package in packages:
        if not _NAME.fullmatch(package):
            raise BadPackageName(
                f"{package!r} is no package's name", hint="correct build.packages in config/pipeline.yml"
            )
    suite = suite_of(status)
    against = sha256_of_bytes(status)
    present = installed(status)
    if all(package in present for package in packages):
        return PackageLock(suite=suite, status_sha256=against, packages=[])
    with (
        signed_lines(sources, suite) as lines,
        isolated_apt(cache / "apt", lines=lines, status=status, current=True) as apt,
    ):
        apt.update()
        locked = [_locked(line) for line in apt.solve(packages)]
    # apt is asked to leave them alone; that it did is looked at, for a lock must never replace a file of the ISO.
    changed = sorted(package.name for package in locked if package.name in present)
    if changed:
        described = ", ".join(f"{name} {present[name]}" for name in changed)
        raise Unsolvable(
            f"adding {', '.join(packages)} would replace packages of the ISO: {described}",
            hint="name sources in build.apt_sources whose packages are as old as the ISO",
        )
    return PackageLock(suite=suite, status_sha256=against, packages=sorted(locked, key=lambda package: package.name))


def fetch_indexes(suite: str, sources: Sequence[AptSource], cache: Path) -> None:
    """Fetch a suite's indexes ahead of `resolve`, which then asks only for what changed since.

    Raises:
        UntrustedSource, SourceUnreachable, BadSource: as for `resolve`.
    """
    with (
        signed_lines(sources, suite) as lines,
        isolated_apt(cache / "apt", lines=lines, status=b"", current=True) as apt,
    ):
        apt.update()


def fetch(lock: PackageLock, sources: Sequence[AptSource], cache: Path) -> dict[str, Path]:
    """Return the file of every locked .deb by package name, each hashed in this call.

    Works without network, and without sources, once every .deb is in the cache. A file in the cache that is not
    what its name says is thrown away and fetched again.

    Raises:
        TamperedPackage: a source serves other bytes than the lock names.
        MissingVersion: no source serves a locked version any more.
        NoSource: something is to be fetched and no source is given.
        UntrustedSource, SourceUnreachable, BadSource: as for `resolve`.
    """
    store = cache / "debs"
    store.mkdir(parents=True, exist_ok=True)
    missing = [package for package in lock.packages if not _is_cached(package, store)]
    if missing:
        _download(missing, lock.suite, sources, cache, store)
    return {package.name: _stored(package, store) for package in lock.packages}


def _locked(line: str) -> LockedPackage:
    """Read one line of --print-uris: 'URI' name_version_architecture.deb size SHA256:digest."""
    words = line.rsplit("'", 1)[-1].split()
    if len(words) != 3 or not words[2].startswith(_HASH):
        raise UntrustedSource(f"a source gives no SHA-256: {line!r}", hint="use a source whose index has SHA256")
    file_name, size, digest = words
    name, version, architecture = (unquote(part) for part in file_name.removesuffix(".deb").split("_"))
    return LockedPackage(
        name=name,
        version=version,
        architecture=architecture,
        file_name=file_name,
        size_bytes=int(size),
        sha256=digest.removeprefix(_HASH),
    )


def _stored(package: LockedPackage, store: Path) -> Path:
    return store / f"{package.sha256}.deb"


def _is_cached(package: LockedPackage, store: Path) -> bool:
    path = _stored(package, store)
    if not path.exists():
        return False
    if sha256_of_file(path) == package.sha256:
        return True
    path.unlink()
    return False


def _download(
    packages: Sequence[LockedPackage], suite: str, sources: Sequence[AptSource], cache: Path, store: Path
) -> None:
    names = ", ".join(f"{package.name} {package.version}" for package in packages)
    by_hand = f"put each .deb into {store} as <its sha256>.deb"
    if not sources:
        raise NoSource(
            f"not in the cache, and no source is given: {names}",
            hint=f"set build.apt_sources to sources of {suite}, or {by_hand}",
        )
    with (
        signed_lines(sources, suite) as lines,
        isolated_apt(cache / "apt", lines=lines, status=b"", current=False) as apt,
    ):
        try:
            try:
                # The indexes that a lock was just made of know its versions.
                _take(apt, packages, cache / "apt" / "incoming", store)
            except (MissingVersion, UntrustedSource, SourceUnreachable):
                apt.update()
                _take(apt, packages, cache / "apt" / "incoming", store)
        except SourceUnreachable as error:
            raise SourceUnreachable(
                f"not in the cache: {names}; and {error.message}",
                hint=f"check the network and run again, or {by_hand}",
            ) from error


def _take(apt: Apt, packages: Sequence[LockedPackage], incoming: Path, store: Path) -> None:
    """Let apt fetch into a directory of its own, and take over what has the right hash."""
    # Under apt's lock: what a killed run left here is not in use, and may be part of a file.
    if incoming.exists():
        shutil.rmtree(incoming)
    incoming.mkdir()
    apt.download({package.name: package.version for package in packages}, incoming)
    for package in packages:
        arrived = incoming / package.file_name
        if not arrived.is_file():
            raise HyopsError(f"apt brought no {package.file_name}", hint="compare the lock with the sources")
        # Of a local source apt leaves a symlink: what is hashed has to be what is kept.
        own = arrived.with_suffix(".own")
        shutil.copyfile(arrived, own)
        found = sha256_of_file(own)
        if found != package.sha256:
            raise TamperedPackage(
                f"{package.file_name} has sha256 {found}, the lock says {package.sha256}",
                hint="a source serves other bytes under the same version: find out why before locking again",
            )
        own.replace(_stored(package, store))
    shutil.rmtree(incoming)
