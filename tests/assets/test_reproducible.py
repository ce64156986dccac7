"""The same ISO, packages and helper give the same record: another directory, another user, another umask and zone."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import Record
from hyops_assets.settings.build import AptSource
from hyops_lab.miniature import MadeIso
from hyops_lab.packages import make_repository
from hyops_lab.signing import LabKey
from resources.artifacts.store import ArtifactStore
from tests.assets.environment import RELEASE, LabEnvironment

CHECKOUT = Path(__file__).parents[2]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
# The interpreter of a virtual environment may lie where only its owner looks; Debian's own can be run by anyone.
PYTHON = "/usr/bin/python3"


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter and write: not below pytest's own, which each run closes to others."""
    with tempfile.TemporaryDirectory(prefix="hyops-anyone-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def can_run(words: list[str], environment: dict[str, str]) -> bool:
    """Whether another user can import this checkout and its packages at all."""
    probe = [*words, PYTHON, "-c", "import pydantic, tests.unsynced"]
    return subprocess.run(probe, cwd=CHECKOUT, env=environment, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_builds_the_same_record(
    seeded: LabEnvironment, miniature: MadeIso, lab_key: LabKey, open_directory: Path
) -> None:
    store = ArtifactStore(seeded.root.artifacts)
    expected = store.read_document("published_contract", RELEASE, Contract).record
    for path in (miniature.iso, miniature.minisig):
        shutil.copy(path, open_directory)
    packages: AptSource = make_repository(open_directory / "packages")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(open_directory),
        "PYTHONPATH": f"{CHECKOUT}:{next(path for path in sys.path if path.endswith('site-packages'))}",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
    }
    if not can_run(NOBODY, environment):
        pytest.skip("another user cannot read this checkout or its Python packages")
    done = subprocess.run(
        [
            *NOBODY, PYTHON, "-m", "tests.assets.other_user",
            str(open_directory / "home"), str(open_directory / miniature.iso.name), lab_key.public_key,
            packages.line, str(packages.keyring),
        ],
        cwd=CHECKOUT,
        env=environment,
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Record.model_validate_json(done.stdout.strip().splitlines()[-1]) == expected
