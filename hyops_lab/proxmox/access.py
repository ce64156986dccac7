"""Who may do what: one API token, and privileges per path that reach down unless a deeper path has its own.

A machine in a pool is reached by the rights on the pool too (pve-access-control, RPCEnvironment.pm,
`compile_acl_path`), from the moment on that it is in it: at the end of the worker that makes it.
"""

import hmac
from collections.abc import Iterable

from hyops_lab.proxmox.answers import ApiError, denied

ALL_PRIVILEGES = frozenset(
    {
        *("Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit"),
        *("SDN.Audit", "SDN.Use", "Sys.AccessNetwork", "Sys.Audit", "Pool.Audit"),
        *("VM.Allocate", "VM.Audit", "VM.Clone", "VM.PowerMgmt", "VM.GuestAgent.Audit", "VM.Monitor"),
        *("VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit", "VM.Config.Disk"),
        *("VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options"),
    }
)
"""What a token has that may do everything but delete on storages: more than a seed asks for."""


class Access:
    """Checks the token of a request and its privileges.

    Attributes:
        privileges: by path.
        pools: the machines of every pool that there is.
        usable: whether the token is not expired and its user not disabled; both are refused in the same words.
    """

    def __init__(self, token_id: str, token: str) -> None:
        self.token_id = token_id
        self._expected = f"PVEAPIToken={token_id}={token}".encode()
        self.privileges: dict[str, frozenset[str]] = {"/": ALL_PRIVILEGES}
        self.pools: dict[str, set[int]] = {}
        self.usable = True

    def __repr__(self) -> str:
        return f"Access({self.token_id!r})"

    def authenticate(self, header: str | None) -> None:
        """Refuse a request without the token (401).

        The reason is never given: wrong, unknown, expired, of another realm, of a disabled user (pve-manager,
        HTTPServer.pm, `auth_handler`). Proxmox waits three seconds before it says so; this does not.
        """
        if header is None or not header.startswith("PVEAPIToken"):
            raise ApiError(401, "No ticket")
        if not self.usable or not hmac.compare_digest(header.encode(), self._expected):
            raise ApiError(401, "Authentication failed!")

    def effective(self, path: str) -> frozenset[str]:
        """Return the privileges at a path: those of the nearest path above it that has any, and of its pool."""
        kind, _, vmid = path.strip("/").partition("/")
        pool = self.pool_of(int(vmid)) if kind == "vms" and vmid.isdigit() else None
        of_pool = self.effective(f"/pool/{pool}") if pool is not None else frozenset[str]()
        while path not in self.privileges and path != "/":
            path = path.rpartition("/")[0] or "/"
        return self.privileges.get(path, frozenset()) | of_pool

    def has(self, path: str, *wanted: str) -> bool:
        """Whether the token has all the privileges at a path."""
        return set(wanted) <= self.effective(path)

    def has_any(self, path: str, *wanted: str) -> bool:
        """Whether the token has one of the privileges at a path."""
        return bool(set(wanted) & self.effective(path))

    def pool_of(self, vmid: int) -> str | None:
        """Return the pool that a machine is in."""
        return next((name for name, members in self.pools.items() if vmid in members), None)

    def require_pool(self, pool: str | None) -> None:
        """Refuse a pool that does not exist: with 403, as RPCEnvironment.pm's `check_pool_exist`."""
        if pool is not None and pool not in self.pools:
            raise denied(f"pool '{pool}' does not exist")

    def require_machine(self, vmid: int, pool: str | None, *wanted: str, any_of: bool = False) -> None:
        """Refuse a machine without the privileges, which may be those on the pool that it is put into.

        RPCEnvironment.pm, `check_vm_perm`: the whole list on the pool, else the whole list on the machine.
        """
        if pool is not None and (self.has_any if any_of else self.has)(f"/pool/{pool}", *wanted):
            return
        self.require(f"/vms/{vmid}", *wanted, any_of=any_of)

    def require(self, path: str, *wanted: str, any_of: bool = False) -> None:
        """Refuse a request that lacks privileges at a path: the first that is missing is named, or all of a choice."""
        has = self.effective(path)
        missing = [privilege for privilege in wanted if privilege not in has]
        if missing and (not any_of or len(missing) == len(wanted)):
            raise denied(f"{path}, {'|'.join(missing) if any_of else missing[0]}")

    def join(self, vmid: int, pool: str | None) -> None:
        """Put a machine into a pool."""
        if pool is not None:
            self.pools[pool].add(vmid)

    def forget(self, vmid: int) -> None:
        """Take a machine out of its pool."""
        for members in self.pools.values():
            members.discard(vmid)

    def may_see(self, vmids: Iterable[int]) -> list[int]:
        """Return the machines that the token may see."""
        return [vmid for vmid in vmids if self.has(f"/vms/{vmid}", "VM.Audit")]
