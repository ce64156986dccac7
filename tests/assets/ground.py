"""The ground of tests: one miniature taken through the whole graph once per test run, and private copies of it.

Four stages are kept: `announced` (a lab whose feed names the release, an instance that ran nothing), `built` (both
records exist and passed their gates), `published` (and the contract) and `seeded` (both clouds hold it). A copy takes
a fraction of a second: large files that never change are hard links, everything else is copied, and the ports and
the directory of the original are replaced by the copy's own.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_assets.settings.build import AptSource
from hyops_lab.miniature import MadeIso, make_miniature
from hyops_lab.packages import make_repository
from hyops_lab.signing import LabKey
from tests.assets.environment import RELEASE, LabEnvironment, lab_environment, moved, reopened
from tests.assets.relocation import LINKED_BYTES

Stage = Literal["announced", "built", "published", "seeded"]

_KEY = "lab-key.json"
_MAKING = "making"
_SHARED = "shared-files.json"
"""Lists the files that copies share, with the time at which each was last written."""
_OWN = "put a copy in its place before: own_copy"


@dataclass(frozen=True)
class Ground:
    """What a test run makes once: packages, a signed miniature, and an environment at each stage."""

    directory: Path

    @property
    def key(self) -> LabKey:
        """The key that signed the miniature; a test signs further ISOs with it."""
        kept = json.loads((self.directory / _KEY).read_text())
        private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(kept["private"]))
        return LabKey(bytes.fromhex(kept["id"]), private)

    @property
    def packages(self) -> AptSource:
        """The overlay's packages, as `build.apt_sources` takes them."""
        return make_repository(self.directory / "packages")

    @property
    def miniature(self) -> MadeIso:
        """The signed ISO of RELEASE."""
        (iso,) = (self.directory / "miniature").glob("*.iso")
        return MadeIso(iso, iso.with_name(f"{iso.name}.minisig"))

    @contextmanager
    def environment(self, stage: Stage, directory: Path, *, gcs: bool = False) -> Iterator[LabEnvironment]:
        """Yield a private copy of the environment at a stage; its lab serves for as long as the block lasts."""
        before = _shared_files(self.directory)
        _copy_tree(self.directory / stage, directory / "root")
        with moved(directory, former=self.directory / _MAKING / "root", gcs=gcs) as copy:
            yield copy
        _require_equal(before, _shared_files(self.directory))

    def require_unchanged(self) -> None:
        """Fail where a test wrote into a file that is shared, or where a blob's bytes are not what its name says."""
        _require_equal(json.loads((self.directory / _SHARED).read_text()), _shared_files(self.directory))
        for blob in self.directory.glob("*/work/artifacts/blobs/*/*"):
            with blob.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
            assert found == blob.name, f"a test wrote into the shared {blob}; {_OWN}"


def make_ground(directory: Path) -> None:
    """Make everything that Ground finds below a directory. Takes as long as a build, a publication and two seeds."""
    private = Ed25519PrivateKey.generate()
    (directory / _KEY).write_text(
        json.dumps({"id": os.urandom(8).hex(), "private": private.private_bytes_raw().hex()})
    )
    ground = Ground(directory)
    make_miniature(directory / "miniature", RELEASE, ground.key)
    making = directory / _MAKING
    with lab_environment(making, ground.key.trusted_as("lab"), ground.packages) as built:
        built.announce(ground.miniature)
    _copy_tree(making / "root", ground.directory / "announced")
    with reopened(making) as built:
        built.build_records()
    _copy_tree(making / "root", ground.directory / "built")
    with reopened(making) as built:
        built.graph().build(RELEASE)
    _copy_tree(making / "root", ground.directory / "published")
    with reopened(making) as built:
        built.seed_everywhere(built.graph())
    _copy_tree(making / "root", ground.directory / "seeded")
    shutil.rmtree(making)
    (directory / _SHARED).write_text(json.dumps(_shared_files(directory)))


def own_copy(path: Path) -> Path:
    """Put a copy of a file in its own place, so that writing into it reaches no other environment."""
    copy = path.with_name(f"{path.name}.own")
    shutil.copy2(path, copy)
    copy.replace(path)
    return path


def _shared_files(directory: Path) -> dict[str, int]:
    """Return when each file that copies link to was last written, in nanoseconds, by its name below the directory."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())
    return {
        str(path.relative_to(directory)): path.stat().st_mtime_ns
        for path in files
        if path.stat().st_size >= LINKED_BYTES
    }


def _require_equal(before: dict[str, int], after: dict[str, int]) -> None:
    written = sorted({name for name, _ in before.items() ^ after.items()})
    assert not written, f"a test wrote into files that others share: {written}; {_OWN}"


def _copy_tree(source: Path, target: Path) -> None:
    def copied(origin: str, destination: str) -> None:
        if Path(origin).stat().st_size >= LINKED_BYTES and not origin.endswith(".db"):
            os.link(origin, destination)
        else:
            shutil.copy2(origin, destination)

    shutil.copytree(source, target, copy_function=copied, symlinks=True)
