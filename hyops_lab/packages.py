"""A small signed apt repository on disk, so that the lab's builds need no network.

Its key is made for it and thrown away: the repository can be read and checked for ever, and never be added to.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from hyops_assets.contract.canonical import digest_of
from hyops_assets.image.programs import run
from hyops_assets.settings.build import AptSource
from hyops_lab.debs import Deb, write_deb
from hyops_lab.packages_contents import DEBS

_DATE = "Tue, 14 Nov 2023 22:13:20 UTC"
_KEYRING = "keyring.gpg"
_OWNER = "HyOps lab packages <lab@hyops.invalid>"


def make_repository(
    directory: Path, *, suite: str = "bookworm", debs: Sequence[Deb] = DEBS, valid_until: str | None = None
) -> AptSource:
    """Make an apt repository with these packages, or adopt the one that an earlier call made.

    Args:
        directory: holds one repository per contents.
        suite: the Debian suite that it claims.
        debs: the packages in it; stand-ins of the overlay's by default.
        valid_until: when its index is to expire, as a Release file spells a time.

    Returns:
        The source line and the keyring, as `build.apt_sources` takes them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    identity = digest_of([suite, [repr(deb) for deb in debs], valid_until])
    repository = directory.absolute() / f"{suite}-{identity[:16]}"
    if not repository.exists():
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=directory))
        try:
            _write(making, suite, debs, valid_until)
            making.chmod(0o755)
            # A repository that another process made meanwhile serves as well.
            if not repository.exists():
                making.rename(repository)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return AptSource(line=f"deb file:{quote(str(repository))} {suite} main", keyring=repository / _KEYRING)


def _write(root: Path, suite: str, debs: Sequence[Deb], valid_until: str | None) -> None:
    pool, dist = root / "pool", root / "dists" / suite
    index = dist / "main" / "binary-amd64" / "Packages"
    pool.mkdir()
    index.parent.mkdir(parents=True)
    stanzas: list[str] = []
    for deb in debs:
        path = pool / deb.file_name
        write_deb(deb, path)
        content = path.read_bytes()
        where = f"Filename: pool/{path.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        stanzas.append(deb.control + where)
    index.write_text("\n".join(stanzas))
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    expiry = f"Valid-Until: {valid_until}\n" if valid_until else ""
    (dist / "Release").write_text(
        f"Origin: HyOps lab\nLabel: HyOps lab\nSuite: {suite}\nCodename: {suite}\nDate: {_DATE}\n"
        f"{expiry}Architectures: amd64\nComponents: main\nSHA256:\n"
        f" {digest} {index.stat().st_size} {index.relative_to(dist)}\n"
    )
    with _throwaway_key() as home:
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet"]
        run([*gpg, "--clear-sign", "--output", dist / "InRelease", dist / "Release"])
        run([*gpg, "--output", root / _KEYRING, "--export"])


@contextmanager
def _throwaway_key() -> Iterator[Path]:
    """Give GnuPG's directory with one signing key in it; end its agent and remove it afterwards."""
    # Not below the repository: the agent's socket needs a path of less than 108 bytes.
    with tempfile.TemporaryDirectory(prefix="hyops-gpg-") as name:
        home = Path(name)
        try:
            quick = ["--passphrase", "", "--quick-generate-key", _OWNER, "ed25519", "sign", "never"]
            run(["gpg", "--homedir", home, "--batch", "--quiet", *quick])
            yield home
        finally:
            run(["gpgconf", "--homedir", home, "--kill", "all"])
