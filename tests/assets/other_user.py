"""Builds one record in an environment of its own, as whoever runs it, and prints the record's identity.

Usage: python -m tests.assets.other_user DIRECTORY ISO PUBLIC_KEY PACKAGES_LINE KEYRING
The signature lies beside the ISO.
"""

import sys
from pathlib import Path

from hyops_assets.contract.documents import CandidateRecord
from hyops_assets.settings.build import AptSource
from hyops_assets.settings.signing_keys import SigningKey
from hyops_lab.miniature import MadeIso
from resources.artifacts.store import ArtifactStore
from tests.assets.environment import RELEASE, lab_environment
from tests.unsynced import keep_connections_and_migrations, write_without_fsync


def main(directory: Path, iso: Path, public_key: str, packages: AptSource) -> None:
    key = SigningKey(name="lab", public_key=public_key, lab=True)
    with lab_environment(directory, key, packages) as home:
        home.announce(MadeIso(iso, iso.with_name(f"{iso.name}.minisig")))
        home.build_records()
        store = ArtifactStore(home.root.artifacts)
        print(store.read_document("raw_xz_record", RELEASE, CandidateRecord).record.model_dump_json())  # noqa: T201


if __name__ == "__main__":
    write_without_fsync()
    keep_connections_and_migrations()
    where, made, trusted, line, keyring = sys.argv[1:]
    main(Path(where), Path(made), trusted, AptSource(line=line, keyring=Path(keyring)))
