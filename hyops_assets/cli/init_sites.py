"""The first sites of an environment, from what `hyops init --proxmox HOST --hetzner` is given: checked, then written.

What belongs here: which flags make which site, what is asked at a terminal, and the look at each before anything is
written. More than one site of a kind, and every other setting, are written by hand.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
import yaml
from pydantic import ValidationError

from hyops_assets.cli.as_typed import as_typed
from hyops_assets.cli.check import Check
from hyops_assets.cli.console import console
from hyops_assets.cli.modules.seed_outlook import reached, tried
from hyops_assets.cli.progress import shown
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import token_of

SITE = "main"
"""The name that the first site of each kind gets; states and grids show it as `proxmox/main`."""


class SiteNotReached(Refused):
    """A site was to be written into the settings, and does not answer as a seed needs it."""


@dataclass(frozen=True)
class AskedSites:
    """What was given on the command line; None and false where it was not.

    Attributes:
        proxmox: host name or address of a node's API, with `:port` where it is not 8006.
        node: the node's own name; the first label of the host where empty.
        token_id: `user@realm!name`.
        storage: holds templates' disks.
        import_storage: takes the image; needs content type import.
        bridge: of templates.
        ca_file: the authority of the node's certificate, where the system does not know it.
        hetzner: whether a project of Hetzner Cloud is wanted.
    """

    proxmox: str | None = None
    node: str | None = None
    token_id: str | None = None
    storage: str | None = None
    import_storage: str | None = None
    bridge: str | None = None
    ca_file: Path | None = None
    hetzner: bool = False

    @property
    def any(self) -> bool:
        """Whether a site is wanted."""
        return self.proxmox is not None or self.hetzner


def sites_text(asked: AskedSites) -> str:
    """Return the lines of `pipeline.yml` for the sites that were asked for, each looked at where its token is set.

    Raises:
        Refused: a value is none that a site takes.
        SiteNotReached: a site does not answer, or its token may not do what a seed does.
    """
    named: dict[str, object] = {}
    if asked.proxmox is not None:
        named["proxmox"] = {SITE: _proxmox(asked)}
    if asked.hetzner:
        named["hetzner"] = {SITE: {"token_env": "HCLOUD_TOKEN", "default": True}}
    document = {"sites": named}
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise Refused(
            f"these sites cannot be used: {wrong_values(error, 'they')}", hint="correct the flags of hyops init"
        ) from None
    # A host without an answer keeps a client waiting for minutes.
    with shown(console(stderr=True), ends=False):
        checks = list(_looks(settings))
    for check in checks:
        typer.echo(as_typed(f"{check.status} {check.name} {check.detail}".rstrip()))
    if wrong := [check for check in checks if check.status == "fail"]:
        raise SiteNotReached(
            f"nothing was written: {', '.join(check.name for check in wrong)}",
            hint="mend what the lines above name, then repeat; docs/first-real-image.md has each step",
        )
    return yaml.safe_dump(document, sort_keys=False)


def _proxmox(asked: AskedSites) -> dict[str, object]:
    said = asked.proxmox or ""
    # An IPv6 address has more than one colon, and no port can be read from it.
    host, _, port = said.partition(":") if said.count(":") == 1 else (said, "", "")
    given: dict[str, object] = {
        "host": host,
        **({"port": int(port) if port.isdecimal() else port} if port else {}),
        "node": _answer("node", asked.node, host.partition(".")[0], "name of the node, as its web UI shows it"),
        "token_id": _answer("token-id", asked.token_id, "hyops@pve!seed", "id of the API token"),
        "token_env": "PROXMOX_TOKEN",
        "storage": _answer("storage", asked.storage, "local-lvm", "storage of templates' disks"),
        "import_storage": _answer("import-storage", asked.import_storage, "local", "storage with content type import"),
        "bridge": _answer("bridge", asked.bridge, "vmbr0", "bridge of templates"),
        "default": True,
    }
    return given | ({"ca_file": str(asked.ca_file.absolute())} if asked.ca_file else {})


def _answer(flag: str, given: str | None, default: str, what: str) -> str:
    """Return what was given, else what is typed at a terminal, else the default."""
    if given is not None:
        return given
    if not sys.stdin.isatty():
        return default
    return str(typer.prompt(f"{what} (--{flag})", default=default))


def _looks(settings: Settings) -> Iterator[Check]:
    for kind, name, site in settings.sites.each():
        token = token_of(site)
        if os.environ.get(token, "").strip():
            yield tried(f"readiness:{kind}/{name}", lambda kind=kind, name=name: reached(settings, kind, name))
        else:
            yield Check(f"readiness:{kind}/{name}", "missing", f"not looked at: export its token as {token}")
