"""The server a disk is written on: created, booted into its rescue system, and gone afterwards whatever happens.

Its name and its key's name follow from the seed: names are unique in a project, so the name is the lock that keeps
a second writer out, and the handle by which a later run finds what a killed one left.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import asyncssh

from hyops_assets.contract.canonical import digest_of
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.record import Disk
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.settings.sites import HetznerSite
from resources.sites.hetzner import rescue
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.errors import (
    ActionFailed,
    HetznerUnavailable,
    NameTaken,
    NotOffered,
    Occupied,
    RescueNotReached,
    SeedBusy,
)
from resources.sites.hetzner.inventory import GIGABYTE, Key, Offer, Server
from resources.sites.hetzner.labels import Labels
from resources.sites.hetzner.options import PaidSnapshot
from resources.sites.hetzner.proof import Secrets, new_nonce, user_data_with
from resources.sites.hetzner.shell import Login

_SYSTEM_IMAGES = ("debian-13", "debian-12", "ubuntu-24.04")
"""Any of them does: its bytes are overwritten."""


def choose_offers(offers: list[Offer], disk_bytes: int, locations: list[str], server_type: str = "") -> list[Offer]:
    """Return the offers that may write a disk, best first: smallest disk, lowest price, preferred location.

    A server made from a snapshot needs a disk as large as the one it was taken of, so the smallest comes first. With
    a server type only offers of that type are returned.
    """
    fitting = [
        offer
        for offer in offers
        if offer.location in locations
        and server_type in ("", offer.server_type)
        and offer.disk_gb >= math.ceil(disk_bytes / GIGABYTE)
    ]
    return sorted(
        fitting, key=lambda offer: (offer.disk_gb, offer.hourly, locations.index(offer.location), offer.server_type)
    )


def seeder_name(request: SeedRequest) -> str:
    """Return the name of a seed's server and of its key: another one in each environment.

    What a dead run of another environment left keeps its name until that environment removes it; it may not keep the
    seeds of this one out.
    """
    if request.environment is None:
        return f"vyos-seed-{request.seed_id[:12]}"
    return f"vyos-seed-{digest_of({'environment': request.environment, 'seed': request.seed_id})[:12]}"


@dataclass
class Workbench:
    """A server in its rescue system, and the way in."""

    client: HetznerClient
    server: Server
    offer: Offer
    key: Key
    login: Login = field(repr=False)

    def boot_rescue(self, disk: Disk) -> None:
        """Boot into the rescue system; where something else comes up, or nothing, once more by the reset button.

        Raises:
            NotRescue: another host answers, or one that does not prove to be this server. Nothing was written.
            RescueNotReached: it never came up. Nothing was written.
            ActionFailed: the server does not start.
        """
        self._enable_rescue()
        self._start()
        try:
            rescue.require_rescue(self.login, disk, self.client.timeouts)
        except RescueNotReached:
            self._enable_rescue()
            self.client.reset(self.server)
            rescue.require_rescue(self.login, disk, self.client.timeouts)

    def shut_down(self) -> None:
        """Bring the server down, politely first, so that its disk is whole.

        Raises:
            ActionFailed: it does not go off.
        """
        rescue.power_off(self.login, self.client.timeouts)
        if not self._becomes("off", within=self.client.timeouts.off):
            self.client.power_off(self.server)
            if not self._becomes("off", within=self.client.timeouts.off):
                raise ActionFailed(f"{self.server.name} does not go off", hint="try again; see the console")

    def _enable_rescue(self) -> None:
        """Have the next boot go into the rescue system, with a password that it will prove itself by."""
        self.login.expect_boot(self.client.enable_rescue(self.server, self.key))

    def _start(self) -> None:
        """Start the server. Some stay off although the action succeeded: those are asked again, once."""
        for _ in range(2):
            self.client.power_on(self.server)
            if self._becomes("running", within=self.client.timeouts.boot):
                return
        raise ActionFailed(f"{self.server.name} stays off", hint="try again; see the console")

    def _becomes(self, status: str, *, within: float) -> bool:
        def reached() -> bool | None:
            return self.client.get_server(self.server.id).status == status or None

        return self.client.timeouts.poll(reached, within=within) is not None


@contextmanager
def workbench(
    client: HetznerClient, site: HetznerSite, request: SeedRequest, labels: Labels, options: PaidSnapshot
) -> Iterator[Workbench]:
    """Create a server and its key for as long as the block lasts.

    Raises:
        SeedBusy: another run has the names.
        NotOffered: no fitting server type is sold in the site's locations.
        LimitReached: the account's limit of servers or addresses.
    """
    private_key = asyncssh.generate_private_key("ssh-ed25519")
    nonce = new_nonce()
    with _cleared(client, request):
        key = _ensure_key(client, request, labels, private_key.export_public_key().decode().strip())
        server, offer = _ensure_server(client, site, request, labels, key, options, nonce)
        login = Login(server.address, site.rescue_ssh_port, private_key, Secrets(server.id, nonce))
        yield Workbench(client, server, offer, key, login)


@contextmanager
def _cleared(client: HetznerClient, request: SeedRequest) -> Iterator[None]:
    """Delete this run's server and key at the end of the block, even those whose creation was never answered."""
    try:
        yield
    except BaseException as error:
        try:
            _clear(client, request)
        except HyopsError as second:
            # The first error says why the seed failed; the leftovers carry labels, and the next run deletes them.
            error.add_note(f"besides, {seeder_name(request)} was not deleted and costs money: {second}")
        raise
    _clear(client, request)


def _clear(client: HetznerClient, request: SeedRequest) -> None:
    _clear_server(client, request)
    key = client.find_key(seeder_name(request))
    if key is not None and _made_by(request, key.labels):
        client.delete_key(key)


def _clear_server(client: HetznerClient, request: SeedRequest) -> None:
    server = client.find_server(seeder_name(request))
    if server is not None and _made_by(request, server.labels):
        client.delete_server(server)


def _made_by(request: SeedRequest, labels: dict[str, str]) -> bool:
    written = Labels.parse(labels)
    made = (request.seed_id, request.run_id, request.environment)
    return written is not None and (written.seed_id, written.run_id, written.environment) == made


def _ensure_key(client: HetznerClient, request: SeedRequest, labels: Labels, public_key: str) -> Key:
    name = seeder_name(request)
    try:
        return client.create_key(name, public_key, labels.written())
    except (NameTaken, HetznerUnavailable) as error:
        # The answer may have been lost after the key was made; a library's own repetition is then refused.
        found = client.find_key(name)
        if found is None:
            raise
        if found.public_key.split()[:2] == public_key.split()[:2]:
            return found
        raise _taken(f"SSH key {name}", found.labels) from error


def _ensure_server(
    client: HetznerClient,
    site: HetznerSite,
    request: SeedRequest,
    labels: Labels,
    key: Key,
    options: PaidSnapshot,
    nonce: str,
) -> tuple[Server, Offer]:
    disk = request.record.disk
    locations = [options.seed_location] if options.seed_location else site.locations
    candidates = choose_offers(client.list_offers(), disk.size_bytes, locations, options.seed_server_type)
    image = _system_image(client)
    refusals: list[str] = []
    for offer in candidates:
        try:
            server = _create_server(client, request, labels, key, offer, image, nonce=nonce, ipv4=site.ipv4)
            return client.wait_server(server), offer
        except NotOffered as error:
            refusals.append(error.message)
            # Taken at first, and then not placed: it has the name that the next one needs.
            _clear_server(client, request)
    what = f"no server type {options.seed_server_type}" if options.seed_server_type else "no x86 server type"
    raise NotOffered(
        f"{what} with a disk of {disk.size_bytes} bytes is to be had in {', '.join(locations)}"
        + "".join(f"; {refusal}" for refusal in refusals),
        hint="add locations to the site's settings, leave seed_server_type and seed_location out, or try again later",
    )


def _create_server(
    client: HetznerClient,
    request: SeedRequest,
    labels: Labels,
    key: Key,
    offer: Offer,
    image: str,
    *,
    nonce: str,
    ipv4: bool,
) -> Server:
    name = seeder_name(request)
    try:
        return client.create_server(
            name, offer, image=image, key=key, labels=labels.written(), user_data=user_data_with(nonce), ipv4=ipv4
        )
    except NotOffered:
        raise
    except (NameTaken, HetznerUnavailable) as error:
        found = client.find_server(name)
        if found is None:
            raise
        if _made_by(request, found.labels):
            return found
        raise _taken(f"server {name}", found.labels) from error


def _taken(what: str, labels: dict[str, str]) -> HyopsError:
    """Return what a name that is in use means: another run of ours, or something of someone else's."""
    written = Labels.parse(labels)
    if written is None or written.role != "seeder":
        return Occupied(
            f"{what} exists and was not made by a seed: it was left alone",
            hint="rename or delete it in the Hetzner console; seeds need that name",
        )
    of = f" of environment {written.environment}" if written.environment else ""
    return SeedBusy(
        f"{what} is run {written.run_id}'s{of}, which may be at work",
        hint="wait for that run; hyops cleanup --plan tells whether it is, and until when it may be",
    )


def _system_image(client: HetznerClient) -> str:
    names = client.list_system_images()
    return next((name for name in _SYSTEM_IMAGES if name in names), names[0] if names else _SYSTEM_IMAGES[0])
