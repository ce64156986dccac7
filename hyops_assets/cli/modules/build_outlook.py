"""What a build would find and do: for `plan`, for preflight, and before the first minute of work. Reads only."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from hyops_assets.cli.modules.work import Check, Intended, Work, program_check
from hyops_assets.contract.documents import BuiltRecord
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.evidence import SignedIso
from hyops_assets.contract.inputs import GCS_KEY_VARIABLES, BuildInputs
from hyops_assets.contract.record import FORMATS
from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.methods.vyos_vm_images import missing_collections
from hyops_assets.image.programs import MissingProgram
from resources.artifacts.store import ArtifactStore
from resources.feed.parse import is_upstreams
from resources.repository.base import ObjectRepository
from resources.repository.revisions import refuse_rebuild

PROGRAMS = (
    *("xorriso", "unsquashfs", "mkfs.ext4", "debugfs", "e2fsck", "mkfs.fat", "mmd", "mcopy", "mdir", "sgdisk", "xz"),
    *("qemu-img", "qemu-system-x86_64", "grub-mkimage", "grub-editenv", "apt-get", "apt-config", "dpkg-deb"),
)
"""What assembling, encoding and examining a disk runs."""

_OF_METHOD = {"packer": ("packer",), "vyos-vm-images": ("ansible-playbook",)}


def plan(work: Work) -> list[Intended]:
    """Say for the ISO, the record and each public name whether it would be found or made.

    Raises:
        Refused: the record key is not this environment's for the release, or a published version was to be rebuilt.
        HyopsError: the repository does not tell.
    """
    refuse(work)
    inputs = build_inputs(work)
    version = RecordVersion.parse(inputs.record_version)
    with _repository(work, inputs.repo_state_ref) as repository:
        names = [published_name(inputs.record_key, version, suffix) for suffix in (*FORMATS, "record.json")]
        there = {name: repository.head(name) is not None for name in names}
        objects = [
            Intended(suffix, "adopt" if there[name] else "publish", repository.url(name))
            for suffix, name in zip((*FORMATS, "record.json"), names, strict=True)
        ]
    return [*_sources(work, version), *objects]


def collections_check() -> Check:
    """Return whether Ansible has what the playbooks of vyos-vm-images use."""
    try:
        missing = missing_collections()
    except MissingProgram as error:
        return Check("ansible collections", "missing", error.hint)
    if missing:
        return Check(
            "ansible collections", "missing", f"{', '.join(missing)}: apt-get install ansible (not ansible-core)"
        )
    return Check("ansible collections", "ok")


def checks(work: Work) -> list[Check]:
    """Return what a build needs on this host, and whether the repository answers and strangers can read it."""
    inputs = build_inputs(work)
    method = work.settings.build.method
    programs = [program_check(name) for name in (*PROGRAMS, *_OF_METHOD.get(method, ()))]
    programs += [collections_check()] if method == "vyos-vm-images" else []
    try:
        with _repository(work, inputs.repo_state_ref) as repository:
            found = _repository_check(repository)
    except HyopsError as error:
        found = Check("repository", "fail", f"{error.message}; {error.hint}")
    return [*programs, *_credentials(work, inputs.repo_state_ref), found]


def refuse(work: Work) -> None:
    """Refuse to build a published version again, whoever published it.

    Raises:
        AlreadyPublished: it is; the hint names the next free revision.
        HyopsError: the repository does not tell.
    """
    inputs = build_inputs(work)
    if inputs.rebuild_if_exists:
        with _repository(work, inputs.repo_state_ref) as repository:
            refuse_rebuild(repository, inputs.record_key, RecordVersion.parse(inputs.record_version))


def require_public_repository(work: Work) -> None:
    """Find a repository that strangers cannot read before anything is built for it.

    Raises:
        NotPublic: they cannot; the hint says what changes it.
        RepositoryFailed: nothing can be created there.
    """
    with _repository(work, build_inputs(work).repo_state_ref) as repository:
        repository.require_public()


def build_inputs(work: Work) -> BuildInputs:
    """Return a build's inputs.

    Raises:
        Refused: the record key is not this environment's for the release.
    """
    inputs = work.inputs
    if not isinstance(inputs, BuildInputs):
        raise TypeError(type(inputs).__name__)
    key = work.settings.build.key_of(RecordVersion.parse(inputs.record_version).release)
    if inputs.record_key != key:
        raise Refused(
            f"record_key {inputs.record_key!r} is not this environment's key of {inputs.record_version}, {key!r}",
            hint="change build.record_key or build.stream_record_key in config/pipeline.yml, or the input",
        )
    return inputs


def _sources(work: Work, version: RecordVersion) -> list[Intended]:
    inputs = build_inputs(work)
    store = ArtifactStore(work.place.root.artifacts)
    elsewhere = inputs.record_url or inputs.record_local_path
    built = store.find_document("qcow2_record", str(version), BuiltRecord)
    held = built is not None and store.blob_path(built.qcow2.sha256).exists()
    if elsewhere:
        return [Intended("record", "adopt", f"{version}: the disk at {elsewhere}")]
    iso = store.find_document("iso", version.release, SignedIso)
    if iso is not None and store.blob_path(iso.sha256).exists():
        taken = Intended("iso", "adopt", f"{iso.file_name} sha256 {iso.sha256}")
    else:
        feed = work.settings.feed
        announced = [inputs.source_iso_url] if inputs.source_iso_url else feed.urls[:1]
        places = [*([feed.mirror] if feed.mirror else []), *announced]
        if inputs.source_iso_url and not is_upstreams(version.release, inputs.source_iso_url, feed.hosts):
            places = [inputs.source_iso_url]
        taken = Intended("iso", "take in", ", else ".join(places))
    method = work.settings.build.method
    return [
        taken,
        Intended("record", "adopt" if held else "build", f"{inputs.record_key} {version} (method {method})"),
    ]


@contextmanager
def _repository(work: Work, repo_state_ref: str) -> Iterator[ObjectRepository]:
    # The resource beside it loads Dagster: `validate` gets by without.
    from resources.repository.by_state import settings_of_run
    from resources.repository.resource import object_repository

    root = work.place.root
    with closing(object_repository(settings_of_run(root, repo_state_ref).repository, root, os.environ)) as repository:
        yield repository


def _repository_check(repository: ObjectRepository) -> Check:
    """Return whether it can be added to, and whether strangers read what is there; nothing is written."""
    from resources.repository.marker import MARKER_NAME, find_marker, require_marker

    repository.require_ready()
    standing = find_marker(repository.head)
    url = repository.url(standing or MARKER_NAME)
    if standing is None:
        return Check("repository", "ok", f"it answers; that strangers can read {url} is proven before the build")
    if not url.startswith("file:"):
        require_marker(url)
    return Check("repository", "ok", f"anyone can read {url}")


def _credentials(work: Work, repo_state_ref: str) -> list[Check]:
    from resources.repository.by_state import settings_of_run

    if settings_of_run(work.place.root, repo_state_ref).repository.kind != "gcs":
        return []
    named = next((name for name in GCS_KEY_VARIABLES if os.environ.get(name, "").strip()), None)
    found = f"{named} is set" if named else "no key is set: application default credentials serve, if there are any"
    return [Check("credentials:gcp", "ok", found)]
