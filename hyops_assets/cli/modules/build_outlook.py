"""What a build would find and do: for `plan`, for preflight, and before the first minute of work. Reads only."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from hyops_assets.cli.check import Check
from hyops_assets.cli.host_checks import accelerator_check, program_check
from hyops_assets.cli.modules.work import Intended, Work
from hyops_assets.contract.documents import BuiltRecord
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.evidence import SignedIso
from hyops_assets.contract.inputs import GCS_KEY_VARIABLES, S3_KEY_VARIABLES, BuildInputs
from hyops_assets.contract.record import FORMATS
from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.methods.vyos_vm_images import missing_collections
from hyops_assets.image.operator_command import OperatorCommand
from hyops_assets.image.overlay.lock import read_lock
from hyops_assets.image.programs import MissingProgram
from resources.artifacts.store import ArtifactStore
from resources.repository.base import ObjectRepository
from resources.repository.revisions import refuse_rebuild
from resources.sites.registry import CLOUDS

if TYPE_CHECKING:
    from resources.feed.outlook import StandingIso

PROGRAMS = (
    *("xorriso", "unsquashfs", "mkfs.ext4", "debugfs", "e2fsck", "mkfs.fat", "mmd", "mcopy", "mdir", "sgdisk", "xz"),
    *("qemu-img", "qemu-system-x86_64", "grub-mkimage", "grub-editenv", "apt-get", "apt-config", "dpkg-deb"),
)
"""What assembling, encoding and examining a disk runs."""

_IF_EQUAL = ", if what is built has the same bytes; apply refuses others"
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
    sources = _sources(work, version)
    is_built_anew = any(line.action == "build" for line in sources)
    with _repository(work) as repository:
        names = [published_name(inputs.record_key, version, suffix) for suffix in (*FORMATS, "record.json")]
        there = {name: repository.head(name) is not None for name in names}
        objects = [
            Intended(
                suffix,
                "adopt" if there[name] else "publish",
                repository.url(name) + (_IF_EQUAL if there[name] and is_built_anew else ""),
            )
            for suffix, name in zip((*FORMATS, "record.json"), names, strict=True)
        ]
    return [*sources, *objects, *_sites(work, version)]


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
    """Return what a build needs on this host, and whether the repository answers and anonymous readers can read it."""
    inputs = build_inputs(work)
    method = work.settings.build.method
    programs = [program_check(name) for name in (*PROGRAMS, *_OF_METHOD.get(method, ()))]
    programs += [collections_check()] if method == "vyos-vm-images" else []
    return [*programs, accelerator_check(), *_publishing(work, inputs)]


def refuse(work: Work) -> None:
    """Refuse to build what cannot be built, before a slot, a partition or a run says that it would be.

    Raises:
        AlreadyPublished: a published version was to be built again; the hint names the next free revision.
        ReleaseUnknown: nothing leads to the release, or nothing stands where it should be.
        UnknownKey, ExpiredKey: no key that is trusted signed its ISO.
        HyopsError: the repository, the feed or the ISO's place does not tell.
    """
    inputs = build_inputs(work)
    if inputs.rebuild_if_exists:
        with _repository(work) as repository:
            refuse_rebuild(repository, inputs.record_key, RecordVersion.parse(inputs.record_version))
    if not (inputs.record_url or inputs.record_local_path) and _held_iso(work) is None:
        iso_outlook(work)


def iso_outlook(work: Work) -> "tuple[StandingIso, str]":
    """Return where the ISO of a build would be taken from, and the name and id of the key that signed it.

    The signature itself is verified with the ISO's bytes, when it is taken in.

    Raises: as `refuse`.
    """
    # Clients and cryptography take their time to load: `validate` gets by without.
    from hyops_assets.contract.minisign_keys import format_key_id
    from hyops_assets.image.intake.minisign import Signature
    from hyops_assets.image.intake.trust import trusted_key
    from resources.feed.client import ReleaseFeed
    from resources.feed.outlook import look_for_iso

    inputs, feed = build_inputs(work), work.settings.feed
    release = RecordVersion.parse(inputs.record_version).release
    client = ReleaseFeed(feed)
    wanted = client.find(release, source_iso_url=inputs.source_iso_url)
    found = look_for_iso(wanted, feed, announced=client.announced)
    signature = Signature.parse(found.minisig)
    key, _ = trusted_key(signature, work.settings.trusted_keys)
    return found, f"{key.name} ({format_key_id(signature.key_id)})"


def require_public_repository(work: Work) -> None:
    """Find a repository that anonymous readers cannot read before anything is built for it.

    Raises:
        NotPublic: they cannot; the hint says what changes it.
        RepositoryFailed: nothing can be created there.
    """
    with _repository(work) as repository:
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
    elsewhere = inputs.record_url or inputs.record_local_path
    if elsewhere:
        return [Intended("record", "adopt", f"{version}: the disk at {elsewhere}")]
    iso = _held_iso(work)
    if iso is not None:
        detail = (
            f"{iso.file_name}, {_mib(iso.size_bytes)}, signed by {iso.signature.key_name} ({iso.signature.key_id})"
        )
        taken = Intended("iso", "adopt", f"{detail}, sha256 {iso.sha256}")
    else:
        found, key = iso_outlook(work)
        taken = Intended(
            "iso", "take in", f"{found.file_name}, {_mib(found.size_bytes)}, signed by {key}, from {found.place}"
        )
    method = work.settings.build.method
    record = f"{inputs.record_key} {version} (method {method})"
    if not inputs.rebuild_if_exists and _is_built(work, version, iso):
        return [taken, Intended("record", "adopt", record)]
    return [taken, Intended("record", "build", record), _boots()]


def _is_built(work: Work, version: RecordVersion, iso: SignedIso | None) -> bool:
    """Tell whether this environment holds the disk that apply would build: by the same recipe, with its files.

    Args:
        work: of the module.
        version: of the record.
        iso: the one that is held; where none is, apply takes in again the one that the held disk was built from.

    Raises:
        HyopsError: something that the recipe names, such as the package lock, cannot be read.
    """
    store = ArtifactStore(work.place.root.artifacts)
    built = store.find_document("qcow2_record", str(version), BuiltRecord)
    source = iso or (built.iso if built else None)
    if built is None or source is None:
        return False
    # It loads Dagster: only here, where there is something to compare.
    from hyops_assets.assets.records import recipe_of

    lock_file = work.settings.build.package_lock
    recipe = recipe_of(source, work.settings, read_lock(lock_file) if lock_file else None)
    needed = (built.qcow2.sha256, built.dpkg_status_sha256)
    return built.recipe_digest == recipe.digest and all(store.blob_path(one).exists() for one in needed)


def _boots() -> Intended:
    """Say what the gates would boot, and with what: under emulation that is most of a build's time."""
    return Intended("gates", "boot", f"the qcow2 under BIOS and UEFI; {accelerator_check().detail}")


def _held_iso(work: Work) -> SignedIso | None:
    """Return the ISO of a build's release, if this environment holds it."""
    release = RecordVersion.parse(build_inputs(work).record_version).release
    store = ArtifactStore(work.place.root.artifacts)
    iso = store.find_document("iso", release, SignedIso)
    return iso if iso is not None and store.blob_path(iso.sha256).exists() else None


def _mib(size_bytes: int | None) -> str:
    return "of unknown size" if size_bytes is None else f"{size_bytes / (1 << 20):.1f} MiB"


def _sites(work: Work, version: RecordVersion) -> list[Intended]:
    """Say what each site would do with the record once it is published: apply itself seeds none."""
    named = [
        (cloud.word, f"{cloud.name}/{name}", site.seed)
        for cloud in CLOUDS
        for name, site in sorted(work.settings.sites.of(cloud.name).items())
    ]
    return [
        Intended(
            what,
            "seed" if seed == "auto" else "wait",
            f"{version} at {where}, "
            + (
                "by the daemon once it is published (seed: auto)"
                if seed == "auto"
                else "until it is asked for: hyops seed"
            ),
        )
        for what, where, seed in named
    ]


@contextmanager
def _repository(work: Work) -> Iterator[ObjectRepository]:
    """Open what apply publishes into: the repository that the settings or a state name, or a command's."""
    # The resource beside it loads Dagster: `validate` gets by without.
    from resources.repository.by_state import settings_of_run
    from resources.repository.resource import command_repository, object_repository

    inputs, root = build_inputs(work), work.place.root
    settings = settings_of_run(root, inputs.repo_state_ref)
    if inputs.publish_command:
        # It only looks at what the command published before; the command itself is not run.
        yield command_repository(OperatorCommand(inputs.publish_command), settings, root)
        return
    with closing(object_repository(settings.repository, root, os.environ)) as repository:
        yield repository


def _publishing(work: Work, inputs: BuildInputs) -> list[Check]:
    """Return whether the repository's key is there, and whether it can be used; a command is tried by apply alone."""
    if inputs.publish_command:
        return [Check("repository", "ok", "publish_command publishes; apply reads back what it published")]
    try:
        with _repository(work) as repository:
            found = _repository_check(repository)
    except HyopsError as error:
        found = Check.of("repository", error)
    return [*_credentials(work, inputs.repo_state_ref), found]


def _repository_check(repository: ObjectRepository) -> Check:
    """Return whether it can be added to, and whether anonymous readers read what is there; nothing is written."""
    from resources.repository.marker import MARKER_NAME, find_marker, require_marker

    repository.require_ready()
    standing = find_marker(repository.head)
    url = repository.url(standing or MARKER_NAME)
    if standing is None:
        return Check(
            "repository", "ok", f"it answers; that anonymous readers can read {url} is proven before the build"
        )
    if not url.startswith("file:"):
        require_marker(url)
    return Check("repository", "ok", f"anyone can read {url}")


def _credentials(work: Work, repo_state_ref: str) -> list[Check]:
    from resources.repository.by_state import settings_of_run

    kind = settings_of_run(work.place.root, repo_state_ref).repository.kind
    if kind == "directory":
        return []
    if kind == "s3":
        return [s3_key_check(os.environ)]
    named = next((name for name in GCS_KEY_VARIABLES if os.environ.get(name, "").strip()), None)
    found = f"{named} is set" if named else "no key is set: application default credentials serve, if there are any"
    return [Check("credentials:gcp", "ok", found)]


def s3_key_check(environ: Mapping[str, str]) -> Check:
    """Return whether the key of an S3 service is whole: of one half alone no client can be made."""
    unset = [name for name in S3_KEY_VARIABLES if not environ.get(name, "").strip()]
    if not unset:
        return Check("credentials:s3", "ok", f"{' and '.join(S3_KEY_VARIABLES)} are set")
    if len(unset) == len(S3_KEY_VARIABLES):
        return Check("credentials:s3", "ok", "no key is set: a profile of AWS' tools serves, if there is one")
    return Check(
        "credentials:s3",
        "missing",
        f"half of a key is set: {unset[0]} is unset",
        f"export {' and '.join(S3_KEY_VARIABLES)}, or neither",
    )
