"""Who may do what: one API token, and privileges per path that reach down unless a deeper path has its own.

A machine in a pool is reached by the rights on the pool too (PVE::AccessControl, `roles`).
"""

import hmac

from hyops_assets.lab.proxmox.answers import ApiError

ALL_PRIVILEGES = frozenset(
    {
        *("Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit"),
        *("SDN.Use", "Sys.AccessNetwork", "Sys.Audit"),
        *("VM.Allocate", "VM.Audit", "VM.Clone", "VM.PowerMgmt", "VM.GuestAgent.Audit", "VM.Monitor"),
        *("VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit", "VM.Config.Disk"),
        *("VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options"),
    }
)
"""What a token with every right of a seed has."""


class Access:
    """Checks the token of a request and its privileges."""

    def __init__(self, token_id: str, token: str) -> None:
        self.token_id = token_id
        self._expected = f"PVEAPIToken={token_id}={token}".encode()
        self.privileges: dict[str, frozenset[str]] = {"/": ALL_PRIVILEGES}
        self.pools: dict[str, set[int]] = {}
        """The machines of every pool that there is."""

    def __repr__(self) -> str:
        return f"Access({self.token_id!r})"

    def authenticate(self, header: str | None) -> None:
        """Refuse a request without the token (401)."""
        if header is None:
            raise ApiError(401, "No ticket")
        if not hmac.compare_digest(header.encode(), self._expected):
            raise ApiError(401, "invalid token value!")

    def effective(self, path: str) -> frozenset[str]:
        """Return the privileges at a path: those of the nearest path above it that has any, and of its pool."""
        kind, _, vmid = path.strip("/").partition("/")
        pool = self.pool_of(int(vmid)) if kind == "vms" and vmid.isdigit() else None
        of_pool = self.effective(f"/pool/{pool}") if pool is not None else frozenset[str]()
        while path not in self.privileges and path != "/":
            path = path.rpartition("/")[0] or "/"
        return self.privileges.get(path, frozenset()) | of_pool

    def pool_of(self, vmid: int) -> str | None:
        """Return the pool that a machine is in."""
        return next((name for name, members in self.pools.items() if vmid in members), None)

    def require_machine(self, vmid: int, pool: str | None, *wanted: str) -> None:
        """Refuse to make a machine without the privileges, which may be those on the pool that it is put into."""
        if pool is not None:
            if pool not in self.pools:
                raise ApiError(500, f"pool '{pool}' does not exist")
            if set(wanted) <= self.effective(f"/pool/{pool}"):
                return
        self.require(f"/vms/{vmid}", *wanted)

    def require(self, path: str, *wanted: str, any_of: bool = False) -> None:
        """Refuse a request that lacks privileges at a path (403)."""
        has = self.effective(path)
        missing = [privilege for privilege in wanted if privilege not in has]
        if missing and (not any_of or len(missing) == len(wanted)):
            raise ApiError(403, f"Permission check failed ({path}, {'|'.join(missing)})")
