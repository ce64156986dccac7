"""`hyops lab`: the lab's ISO, its process, and the `pipeline.yml` that points at it."""

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from filelock import FileLock

from hyops_assets.cli.environment import Place, others
from hyops_assets.cli.progress import busy
from hyops_assets.cli.run_record import new_run_id
from hyops_assets.cli.usage import BadUsage
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.references import OBJECT_REPO, StateRef
from hyops_assets.contract.version import iso_file_name
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.private import make_private_directory
from hyops_assets.settings.build import BuildSettings
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.object_repo import DEFAULT_REPOSITORY_INSTANCE, ObjectRepoInputs, repository_outputs
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.repository import RepositorySettings
from hyops_assets.settings.seeding import SeedingSettings
from hyops_assets.settings.signing_keys import ROLLING_KEY, SigningKey
from hyops_assets.settings.sites import HetznerSite, ProxmoxSite, Sites
from hyops_lab import feed, process
from hyops_lab.ensemble import (
    GCS_BUCKET,
    GCS_PROJECT,
    GCS_PUBLISHER,
    HETZNER_TOKEN_ENV,
    HOST,
    PROXMOX_TOKEN_ENV,
    PROXMOX_TOKEN_ID,
    LabFiles,
)
from hyops_lab.grub_modules import lab_cache
from hyops_lab.hetzner.confinement import CellFailed, require_confinement
from hyops_lab.iso_layout import built_at
from hyops_lab.lookalike.iso import lookalike_digest, make_lookalike
from hyops_lab.signing import LabKey
from resources.environment_id import ensure_environment_id, find_environment_id
from resources.settings import load_settings, make_private, save_settings
from resources.states.store import StateStore

SITE = "lab"
REPOSITORY = StateRef(OBJECT_REPO, DEFAULT_REPOSITORY_INSTANCE)
DISK_BYTES = 2 << 30
"""Of a lab's records: half of what routers get."""
_HEADING = "Written by `hyops lab up`: everything here points at the local lab. It is written again at each start."
_KEY_FILE = "lab.pub"
_COSTS_NOTHING = 100_000
"""The daily cap of a cloud that sends no bill."""


@dataclass(frozen=True)
class LabIso:
    """A look-alike ISO with its signature and the public key that signed it."""

    release: str
    iso: Path
    minisig: Path
    public_key: Path
    made: bool


def lookalike(release: str, progress: Progress = silent) -> LabIso:
    """Return the signed look-alike of a release: made once, then kept in the cache until its recipe changes.

    The key signs this one ISO and is forgotten; its public half is kept beside the ISO. Who asks while another process
    makes it waits for that one: two would each leave a key beside the other's signature.
    """
    found = lookalike_place(release, lab_cache())
    if found.public_key.exists():
        return found
    directory = found.iso.parent
    make_private_directory(directory)
    with FileLock(directory.with_name(f"{directory.name}.lock")):
        if found.public_key.exists():
            return found
        make_lookalike(found.iso, release, cache=lab_cache(), progress=progress)
        key = LabKey.generate()
        found.minisig.write_text(key.sign_file(found.iso, file_name=found.iso.name, signed_at=built_at(release)))
        with replacing(found.public_key) as partial:
            partial.write_text(key.public_key)
    return replace(found, made=True)


def lookalike_place(release: str, cache: Path) -> LabIso:
    """Return where the look-alike of a release lies in a cache, made or not; its public key is written last."""
    directory = cache / "iso" / f"{release}-{lookalike_digest(release)[:16]}"
    iso = directory / iso_file_name(release)
    return LabIso(release, iso, iso.with_name(f"{iso.name}.minisig"), directory / _KEY_FILE, made=False)


def make_iso(place: Place, release: str) -> None:
    """Make or find a look-alike and print where it lies."""
    made = _lookalike_shown(place, release)
    place.console.print(made.iso)


def require_lab(place: Place) -> None:
    """See that an environment has a lab: beside one that is not there, or is no lab's, a name is mistyped.

    Raises:
        BadUsage: it has none; those that have one are listed.
    """
    if place.root.lab.is_dir():
        return
    known = [name for name in others(place) if RuntimeRoot(place.root.path.parent / name).lab.is_dir()]
    raise BadUsage(
        f"there is no lab in {place.root.path} (environments with a lab: {', '.join(known) or 'none'})",
        hint="name one of them: --env <name>" if known else f"make one: {command(place, 'up')}",
    )


def _lookalike_shown(place: Place, release: str) -> LabIso:
    """Return the look-alike of a release; made the first time, it shows what goes on: that takes minutes."""
    if (found := lookalike_place(release, lab_cache())).public_key.exists():
        return found
    place.console.print("making the look-alike ISO, once on this host: 1 to 4 minutes")
    with busy(place.console, "look-alike ISO") as step:
        made = lookalike(release, step)
        step.ended("made", made.iso.stat().st_size)
    return made


def announce_iso(root: RuntimeRoot, iso: LabIso) -> None:
    """Put a look-alike into the lab's feed, and its key into `pipeline.yml` where that is the lab's."""
    files = LabFiles(root.lab)
    if (files.feed / iso.release / _KEY_FILE).exists():
        return
    directory = files.feed / iso.release
    make_private(root.lab, below=root.path)
    make_private_directory(directory)
    # The key first: a reader of the release can verify it.
    (directory / _KEY_FILE).write_text(iso.public_key.read_text())
    if root.settings_file.exists():
        _write_settings(root)
    feed.publish(files.feed, iso.release, iso.iso, iso.minisig.read_text(), built_at(iso.release))


def announce(place: Place, release: str) -> None:
    """Put a release into the lab's feed, making its ISO first."""
    iso = _lookalike_shown(place, release)
    _refuse_foreign_settings(place.root)
    announce_iso(place.root, iso)
    place.console.print(f"{release} is in the lab's feed; the sensor vyos_rolling_release finds it")


def start(root: RuntimeRoot, *, bound: bool = False) -> process.RunningLab:
    """Start the lab, or find it running, and write the settings that point at it.

    Raises:
        Refused: the environment has a `pipeline.yml` that no lab wrote.
    """
    _refuse_foreign_settings(root)
    make_private(root.lab, below=root.path)
    ensure_environment_id(root)
    running = process.start(root.lab, bound=bound)
    _write_settings(root)
    offer_repository(root)
    os.environ.update(running.environment())
    return running


@contextmanager
def lab_running(root: RuntimeRoot) -> Iterator[None]:
    """Have the lab up for as long as the block lasts; a lab that was up before stays up afterwards."""
    was_up = process.find(root.lab) is not None
    # Bound to this process: a killed demo leaves no lab behind.
    start(root, bound=True)
    try:
        yield
    finally:
        if not was_up:
            process.stop(root.lab)


def up(place: Place, release: str) -> None:
    """Start the lab in the background, and have its feed and its mirror serve a release; none where it is empty."""
    running = start(place.root)
    if release:
        announce_iso(place.root, _lookalike_shown(place, release))
    say = partial(place.console.print, soft_wrap=True)
    say(f"the lab is up (process {running.pid}); settings: {place.root.settings_file}")
    none = f"none yet: {command(place, 'release <version>')}"
    say(f"releases to build: {', '.join(_announced(place.root)) or none}")
    for line in _unavailable_parts():
        place.console.print(f"warning: {line}", markup=False)
    say(f"records are published below {load_settings(place.root).repository.public_base_url}, a directory of the lab")
    say(f"or, where inputs say repo_state_ref: {REPOSITORY}, into its bucket: {_readable_below(place.root)}")
    say(f'other programs reach it after eval "$({command(place, "env")})"')
    say(f"stop it: {command(place, 'down')}")


def _announced(root: RuntimeRoot) -> list[str]:
    """Return the releases that the lab's feed has, newest first."""
    return sorted((path.parent.name for path in LabFiles(root.lab).feed.glob(f"*/{_KEY_FILE}")), reverse=True)


def _unavailable_parts() -> list[str]:
    """Return what of the lab cannot serve on this host, each with what mends it; the rest serves all the same."""
    try:
        require_confinement()
    except CellFailed as error:
        return [f"{error.message}, so no image can be seeded into it; next: {error.hint}"]
    return []


def _readable_below(root: RuntimeRoot) -> str:
    state = StateStore(root).find(REPOSITORY)
    return str(state.outputs.get("repo_public_base_url", "")) if state else ""


def down(place: Place) -> None:
    """Stop the lab; it is no error that it is not up.

    Raises:
        BadUsage: the environment has no lab.
    """
    require_lab(place)
    place.console.print("the lab is down" if process.stop(place.root.lab) else "no lab was up")


def print_environment(place: Place) -> None:
    """Print shell exports for the running lab.

    Raises:
        BadUsage: the environment has no lab.
        Refused: the lab is not up.
    """
    require_lab(place)
    running = process.find(place.root.lab)
    if running is None:
        raise Refused("the lab is not up", hint=command(place, "up"))
    for name, value in running.environment().items():
        place.console.print(f"export {name}={shlex.quote(value)}", soft_wrap=True)


def reach_lab(root: RuntimeRoot) -> None:
    """Put the lab's environment into this process where the settings are a lab's and the lab is up."""
    if load_settings(root).lab and (running := process.find(root.lab)) is not None:
        os.environ.update(running.environment())


def command(place: Place, what: str) -> str:
    """Return the line that runs a lab command in an environment."""
    return f"hyops lab {what} {place.flag}".rstrip()


def _refuse_foreign_settings(root: RuntimeRoot) -> None:
    if root.settings_file.exists() and not load_settings(root).lab:
        raise Refused(
            f"{root.settings_file} was not written by a lab", hint="use another environment: hyops lab up --env lab"
        )


def offer_repository(root: RuntimeRoot) -> None:
    """Have `org/gcp/object-repo#vyos_records` lead to the lab's bucket, unless that slot holds another state."""
    endpoint = f"https://{HOST}:{json.loads(LabFiles(root.lab).ports.read_text())['gcs']}"
    inputs = ObjectRepoInputs(
        project_id=GCS_PROJECT, bucket_name=GCS_BUCKET, service_account_id=GCS_PUBLISHER, endpoint=endpoint
    )
    outputs = repository_outputs(inputs, location=inputs.location, lab=True)
    states = StateStore(root)
    former = states.find(REPOSITORY)
    if former is None or not former.outputs or former.outputs.get("lab"):
        states.commit(REPOSITORY, run_id=new_run_id("lab-up"), outputs=outputs)


def _write_settings(root: RuntimeRoot) -> None:
    """Write the settings for the lab's ports and keys; leave an equal file alone."""
    files = LabFiles(root.lab)
    if not files.ports.exists():
        return
    settings = lab_settings(files).of_environment(find_environment_id(root))
    if not root.settings_file.exists() or load_settings(root) != settings:
        save_settings(root, settings, heading=_HEADING)


def lab_settings(files: LabFiles) -> Settings:
    """Return the settings that point at a lab: its ports, its keys, its sites."""
    port = json.loads(files.ports.read_text())
    keys = [
        SigningKey(name=f"lab-{path.parent.name}", public_key=path.read_text().strip(), lab=True)
        for path in sorted(files.feed.glob(f"*/{_KEY_FILE}"))
    ]
    return Settings(
        lab=True,
        # A look-alike fits twice over; each stand-in reads, writes or hashes every byte of a disk.
        build=BuildSettings(disk_bytes=DISK_BYTES, menu_timeout_seconds=1),
        feed=FeedSettings(
            urls=[f"https://{HOST}:{port['feed']}/version.json"],
            iso_hosts=[*FeedSettings().iso_hosts, HOST],
            stream_iso_hosts=[*FeedSettings().stream_iso_hosts, HOST],
            github_api=f"https://{HOST}:{port['feed']}",
            # What upstream announced is asked for here first, as of any mirror: nothing leaves for GitHub.
            mirror=f"https://{HOST}:{port['feed']}",
            keys=[ROLLING_KEY, *keys],
            poll_seconds=5,
            sensor="running",
        ),
        repository=RepositorySettings(
            directory=files.objects, public_base_url=f"https://{HOST}:{port['objects']}", lab=True
        ),
        sites=Sites(
            proxmox={
                SITE: ProxmoxSite(
                    host=HOST,
                    port=port["proxmox"],
                    node="pve1",
                    token_id=PROXMOX_TOKEN_ID,
                    token_env=PROXMOX_TOKEN_ENV,
                    ca_file=files.certificate,
                    # The lab's machines do not boot: the smoke gate would have no agent to ask.
                    template_smoke_gate=False,
                    seed="auto",
                    default=True,
                    lab=True,
                )
            },
            hetzner={
                SITE: HetznerSite(
                    endpoint=f"http://{HOST}:{port['hetzner']}/v1",
                    token_env=HETZNER_TOKEN_ENV,
                    rescue_ssh_port=port["rescue"],
                    seed="auto",
                    paid_seeds_a_day=_COSTS_NOTHING,
                    default=True,
                    lab=True,
                )
            },
        ),
        seeding=SeedingSettings(paid_seeds_a_day=_COSTS_NOTHING),
    )
