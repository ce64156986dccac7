"""Hetzner's API with constant verbs, time limits and waiters of our own, over the `hcloud` library.

What the library does otherwise than a seed needs, and what is done about it: it repeats a timed-out POST (unique
names make creating idempotent), and its filter by image status sends another value (statuses are compared here).
Waiting is done in `actions.py`, pace and repetition in `transport.py`.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from hcloud import Client
from hcloud.actions import BoundAction
from hcloud.images.domain import Image
from hcloud.locations.domain import Location
from hcloud.server_types.domain import ServerType
from hcloud.servers import domain as servers
from hcloud.ssh_keys.domain import SSHKey

from resources.secrets import what_no_header_takes
from resources.sites.hetzner import actions
from resources.sites.hetzner.errors import ActionFailed, BadToken, NotFound, of_new_server, translated
from resources.sites.hetzner.inventory import Key, Offer, Server, Snapshot, offers_of
from resources.sites.hetzner.timeouts import HetznerTimeouts
from resources.sites.hetzner.transport import travelling

Done = TypeVar("Done")


class HetznerClient:
    """One project.

    Args:
        endpoint: `https://api.hetzner.cloud/v1`.
        token: of the project. It goes into the request header only.
        timeouts: how long to wait for what.

    Raises:
        BadToken: no header takes it. The library would quote it whole in its complaint.
    """

    def __init__(self, endpoint: str, token: str, *, timeouts: HetznerTimeouts | None = None) -> None:
        if why := what_no_header_takes(token):
            raise BadToken(f"the API token {why}", hint="give the token alone, as the Hetzner console showed it")
        self.timeouts = timeouts or HetznerTimeouts()
        self._endpoint = endpoint
        self._api = Client(
            token,
            api_endpoint=endpoint,
            application_name="hyops-assets",
            timeout=self.timeouts.request,
        )
        self._transport = travelling(self._api, self.timeouts)

    def now(self) -> float:
        """Return the time at Hetzner, in epoch seconds; this host's until an answer said it."""
        return self._transport.now()

    def __repr__(self) -> str:
        return f"HetznerClient({self._endpoint!r})"

    # Snapshots

    def list_snapshots(self, label_selector: str | None = None) -> list[Snapshot]:
        """Return the project's snapshots, from every page, oldest first."""
        with translated("listing snapshots"):
            found = self._api.images.get_all(type=["snapshot"], label_selector=label_selector)
        return sorted((Snapshot.of(image) for image in found), key=lambda snapshot: snapshot.id)

    def get_snapshot(self, snapshot_id: int) -> Snapshot:
        """Return a snapshot by id.

        Raises:
            NotFound: there is none; an image of another kind (a backup, a system's) is none.
        """
        with translated(f"reading snapshot {snapshot_id}"):
            image = self._api.images.get_by_id(snapshot_id)
        if image.type != "snapshot":
            raise NotFound(f"image {snapshot_id} is of kind {image.type}, no snapshot", hint="give a snapshot's id")
        return Snapshot.of(image)

    def create_snapshot(self, server: Server, description: str, labels: Mapping[str, str]) -> Snapshot:
        """Start a snapshot of a server's disk and return it while it is being written.

        Not repeated on `locked`: what holds the server may be this very snapshot, asked for by a request whose answer
        was lost.

        Raises:
            Locked: an action is running on the server.
            LimitReached: of snapshots.
        """
        with translated(f"taking a snapshot of {server.name}"):
            answer = self._api.servers.create_image(
                servers.Server(id=server.id), type="snapshot", description=description, labels=dict(labels)
            )
        return Snapshot.of(answer.image)

    def wait_snapshot(self, snapshot_id: int) -> Snapshot:
        """Wait until a snapshot is written: its action succeeded, and it is available. One says little of the other.

        Raises:
            ActionFailed: Hetzner gave up, or it took too long.
            NotFound: it was deleted meanwhile.
        """
        doing = f"writing snapshot {snapshot_id}"
        with translated(doing):
            known = self._api.images.get_actions(Image(id=snapshot_id))
        for action in known:
            if action.command == "create_image":
                self._wait(action, doing, within=self.timeouts.snapshot)

        def written() -> Snapshot | None:
            now = self.get_snapshot(snapshot_id)
            return None if now.status == "creating" else now

        done = self.timeouts.poll(written, within=self.timeouts.snapshot)
        if done is None or done.status != "available":
            status = done.status if done else "creating"
            raise ActionFailed(f"{doing}: it is {status}, not available", hint="look at it in the Hetzner console")
        return done

    def label_snapshot(self, snapshot: Snapshot, labels: Mapping[str, str]) -> Snapshot:
        """Replace all labels of a snapshot."""
        return Snapshot.of(
            self._unlocked(
                f"labelling snapshot {snapshot.id}",
                lambda: self._api.images.update(Image(id=snapshot.id), labels=dict(labels)),
            )
        )

    def protect_snapshot(self, snapshot: Snapshot) -> None:
        """Protect a snapshot against deletion."""
        self._set_protection(f"protecting snapshot {snapshot.id}", snapshot, protected=True)

    def unprotect_snapshot(self, snapshot: Snapshot) -> None:
        """Allow a snapshot to be deleted."""
        self._set_protection(f"lifting the protection of snapshot {snapshot.id}", snapshot, protected=False)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Delete a snapshot; that it is gone already is as good."""
        try:
            self._unlocked(f"deleting snapshot {snapshot.id}", lambda: self._api.images.delete(Image(id=snapshot.id)))
        except NotFound:
            return

    # What a server is made of

    def list_system_images(self) -> list[str]:
        """Return the names of Hetzner's own images for x86."""
        with translated("listing system images"):
            found = self._api.images.get_all(type=["system"], architecture=["x86"])
        return sorted(image.name for image in found if image.name)

    def list_offers(self) -> list[Offer]:
        """Return every x86 server type in every location that sells it now."""
        with translated("listing server types"):
            return [offer for type_ in self._api.server_types.get_all() for offer in offers_of(type_)]

    def list_keys(self, label_selector: str) -> list[Key]:
        """Return the SSH keys with these labels, from every page."""
        with translated("listing SSH keys"):
            return [Key.of(key) for key in self._api.ssh_keys.get_all(label_selector=label_selector)]

    def find_key(self, name: str) -> Key | None:
        """Return the SSH key of that name; names are unique in a project."""
        with translated(f"looking for SSH key {name}"):
            found = self._api.ssh_keys.get_by_name(name)
        return Key.of(found) if found else None

    def create_key(self, name: str, public_key: str, labels: Mapping[str, str]) -> Key:
        """Register a public key (OpenSSH format).

        Raises:
            NameTaken: the name, or the key itself, is registered.
        """
        with translated(f"creating SSH key {name}"):
            return Key.of(self._api.ssh_keys.create(name=name, public_key=public_key, labels=dict(labels)))

    def delete_key(self, key: Key) -> None:
        """Delete an SSH key; that it is gone already is as good."""
        try:
            with translated(f"deleting SSH key {key.name}"):
                self._api.ssh_keys.delete(SSHKey(id=key.id))
        except NotFound:
            return

    # Servers

    def list_servers(self, label_selector: str | None = None) -> list[Server]:
        """Return the servers with these labels, or all, from every page."""
        with translated("listing servers"):
            return [Server.of(server) for server in self._api.servers.get_all(label_selector=label_selector)]

    def find_server(self, name: str) -> Server | None:
        """Return the server of that name; names are unique in a project."""
        with translated(f"looking for server {name}"):
            found = self._api.servers.get_by_name(name)
        return Server.of(found) if found else None

    def get_server(self, server_id: int) -> Server:
        """Return a server by id.

        Raises:
            NotFound: it is gone.
        """
        with translated(f"reading server {server_id}"):
            return Server.of(self._api.servers.get_by_id(server_id))

    def create_server(
        self,
        name: str,
        offer: Offer,
        *,
        image: str,
        key: Key,
        labels: Mapping[str, str],
        user_data: str = "",
        ipv4: bool = True,
    ) -> Server:
        """Ask for a server that stays off. `wait_server` tells when it stands.

        Args:
            name: of the server; unique in the project.
            offer: what kind, and where.
            image: of its own system.
            key: let in by its own system.
            labels: all of them.
            user_data: what the metadata service tells this server alone; none where empty.
            ipv4: whether it has such an address too.

        Raises:
            NameTaken: a server of that name exists, perhaps from an attempt whose answer was lost.
            NotOffered: the type is sold out there.
            LimitReached: servers or addresses.
        """
        with translated(f"creating server {name} ({offer.server_type}, {offer.location})"):
            made = self._api.servers.create(
                name=name,
                # By name: the published schema takes text only.
                server_type=ServerType(name=offer.server_type),
                image=Image(name=image),
                location=Location(name=offer.location),
                # With a key, Hetzner sends no root password by mail.
                ssh_keys=[SSHKey(name=key.name)],
                labels=dict(labels),
                user_data=user_data or None,
                start_after_create=False,
                public_net=servers.ServerCreatePublicNetwork(enable_ipv4=ipv4, enable_ipv6=True),
            )
        return Server.of(made.server)

    def wait_server(self, server: Server) -> Server:
        """Wait for everything that was begun on a new server, and return it as it is then.

        What has ended is looked at too: an order that was taken may have failed before anybody asks.

        Raises:
            NotOffered: the order was taken, and then the server was not to be had there.
            ActionFailed: something else did not end well, or the server is gone.
        """
        doing = f"waiting for server {server.name}"
        try:
            with translated(doing):
                begun = self._api.servers.get_actions(servers.Server(id=server.id))
            for action in begun:
                self._wait(action, doing)
            return self.get_server(server.id)
        except ActionFailed as error:
            raise of_new_server(error) from error
        except NotFound as error:
            raise ActionFailed(f"{doing}: it is gone, and was never up", hint="try again; see the console") from error

    def settle_server(self, server: Server) -> None:
        """Wait for everything that runs on a server to end, however it ends: a snapshot of it may be among it."""
        doing = f"waiting for what runs on server {server.name}"
        for action in self._running(server, doing):
            actions.settle(action, doing, timeouts=self.timeouts, within=self.timeouts.snapshot)

    def enable_rescue(self, server: Server, key: Key) -> str:
        """Make the next boot go into the rescue system, with this key let in, and return its root password.

        The password is a secret that a rescue system proves itself by; it belongs in memory only.
        """
        # The library says that ids are text; the API takes integers.
        keys: list[object] = [key.id]
        answer = self._unlocked(
            f"enabling the rescue system of {server.name}",
            lambda: self._api.servers.enable_rescue(servers.Server(id=server.id), type="linux64", ssh_keys=keys),  # pyright: ignore[reportArgumentType]
        )
        self._wait(answer.action, f"enabling the rescue system of {server.name}")
        return answer.root_password or ""

    def power_on(self, server: Server) -> None:
        """Start a server."""
        self._move(f"starting {server.name}", server, self._api.servers.power_on)

    def power_off(self, server: Server) -> None:
        """Cut a server's power."""
        self._move(f"powering off {server.name}", server, self._api.servers.power_off)

    def reset(self, server: Server) -> None:
        """Push a server's reset button."""
        self._move(f"resetting {server.name}", server, self._api.servers.reset)

    def delete_server(self, server: Server) -> None:
        """Delete a server and wait until it is gone, after whatever is still running on it.

        A snapshot goes on at Hetzner when its run is killed; deleting its server would break it.
        """
        doing = f"deleting server {server.name}"
        try:
            self.settle_server(server)
            self._move(doing, server, self._api.servers.delete)
        except NotFound:
            return

    # Waiting

    def _set_protection(self, doing: str, snapshot: Snapshot, *, protected: bool) -> None:
        call = lambda: self._api.images.change_protection(Image(id=snapshot.id), delete=protected)  # noqa: E731
        self._wait(self._unlocked(doing, call), doing)

    def _move(self, doing: str, server: Server, move: Callable[[servers.Server], BoundAction]) -> None:
        self._wait(self._unlocked(doing, lambda: move(servers.Server(id=server.id))), doing)

    def _running(self, server: Server, doing: str) -> list[BoundAction]:
        with translated(doing):
            return self._api.servers.get_actions(servers.Server(id=server.id), status=["running"])

    def _wait(self, action: BoundAction, doing: str, *, within: float | None = None) -> None:
        actions.wait(action, doing, timeouts=self.timeouts, within=within or self.timeouts.action)

    def _unlocked(self, doing: str, call: Callable[[], Done]) -> Done:
        return actions.unlocked(doing, call, timeouts=self.timeouts)
