"""Runs the graph in a process of its own whose every secret is a planted text, in ways that succeed and that fail.

Usage: python -m tests.assets.planted ROOT WEBHOOK_URL
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from hyops_assets.assets.run_liveness import SHELL_TAG
from hyops_assets.cli.faults import tell_fault
from hyops_assets.cli.graph import Graph, Ran, RunFailed
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.notify import NotifySettings
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.repository import RepositorySettings
from hyops_assets.settings.sites import Sites
from hyops_lab.cli.lab import SITE
from hyops_lab.ensemble import HETZNER_TOKEN_ENV, PROXMOX_TOKEN_ENV
from resources.notify import Notifier
from resources.settings import load_settings, save_settings
from resources.sites.hetzner.resource import HetznerProjects
from resources.sites.hetzner.timeouts import HetznerTimeouts
from resources.sites.proxmox.resource import proxmox_sites
from resources.sites.proxmox.timeouts import ProxmoxTimeouts
from sensors.failures import run_failures
from tests.assets.environment import RELEASE, quick
from tests.clouds import HETZNER, PROXMOX
from tests.unsynced import keep_connections_and_migrations, write_without_fsync

MARK = "PLANTED"
"""Begins each part of each planted secret, so that no part of one is missed."""

BAD = {
    "wrong": f"{MARK}wrong0123456789",
    "two lines": f"{MARK}line0123456789\n{MARK}next0123456789",
    "not ASCII": f"{MARK}euro0123456789\u20ac{MARK}rest0123456789",
    "a NUL's neighbour": f"{MARK}ctrl0123456789\x01{MARK}rest0123456789",
}
PROXIES = {
    "nobody listens": f"http://user:{MARK}proxy0123456789@127.0.0.1:9",
    "taken apart elsewhere": f"http://user:{MARK}sl/{MARK}ash0123@127.0.0.1:9",
}
KEY = (
    '{"type": "service_account", "client_email": "a@b.example", "token_uri": "https://127.0.0.1:9/token",\n'
    f'"private_key": "-----BEGIN PRIVATE KEY-----\\n{MARK}key0123456789\\n-----END PRIVATE KEY-----\\n"}}'
)
TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
HOOK, ODD = "HOOK_URL", "AN_ODD_NAME"


@contextmanager
def variables(changes: Mapping[str, str | None]) -> Iterator[None]:
    former = dict(os.environ)
    for name, value in changes.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(former)


class Planted:
    """One environment, with compute logs, and a webhook that is told of what fails."""

    def __init__(self, root: RuntimeRoot, instance: dg.DagsterInstance) -> None:
        self.root = root
        self.instance = instance

    def graph(self, handed_over: HandedOver | None = None) -> Graph:
        hetzner = HetznerProjects(load_settings(self.root), timeouts=HetznerTimeouts(outage=0.1, request=5))
        proxmox = proxmox_sites(ProxmoxTimeouts(outage=0.2, first_poll=0.05, longest_poll=0.05))
        overrides = quick() | {"hetzner": hetzner, "proxmox": proxmox}
        return Graph(self.root, self.instance, overrides=overrides, handed_over=handed_over)

    def fails(self, name: str, run: Callable[[Graph], Ran], handed_over: HandedOver | None = None) -> None:
        """Have a run fail, print what the shell would, and tell the webhook."""
        try:
            run(self.graph(handed_over))
        except RunFailed as error:
            say(f"{name}: {error}")
            self.tell(error.ran.run_id)
        else:
            say(f"UNEXPECTED {name}: it did not fail")

    def tell(self, run_id: str) -> None:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        (event,) = [
            entry.get_dagster_event()
            for entry in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        ]
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failures",
            dagster_instance=self.instance,
            # As one that the daemon launched: of a shell's the sensor says nothing.
            dagster_run=run.with_tags({name: value for name, value in run.tags.items() if name != SHELL_TAG}),
            dagster_event=event,
            resources={"notifier": Notifier(load_settings(self.root).notify, os.environ, wait_seconds=0)},
        ).for_run_failure()
        try:
            run_failures()(context)
        except Exception as error:  # noqa: BLE001 - as a tick's error is written down
            tell_fault(error)


def run_all(planted: Planted) -> None:
    def proxmox(graph: Graph) -> Ran:
        return graph.seed(PROXMOX, SITE, RELEASE)

    def hetzner(graph: Graph) -> Ran:
        return graph.seed(HETZNER, SITE, RELEASE)

    say(f"success: {hetzner(planted.graph()).metadata['hetzner_image']['outcome']}")
    for what, token in BAD.items():
        with variables({HETZNER_TOKEN_ENV: token}):
            planted.fails(f"hetzner, {what}", hetzner)
        if what != "wrong":
            with variables({PROXMOX_TOKEN_ENV: token}):
                planted.fails(f"proxmox, {what}", proxmox)
    with variables({PROXMOX_TOKEN_ENV: BAD["wrong"]}):
        planted.fails("proxmox, wrong", proxmox)
    _without_a_way(planted, hetzner, proxmox)
    with variables({ODD: f"{MARK}odd0123456789\n{MARK}line0123456789"}):
        line = f'echo "$HTTPS_PROXY ${ODD}"; echo "${ODD}" >&2; exit 3'
        command = HandedOver(seed_command=line, required_env=(ODD,), seed_timeout_s=60)
        with variables({HETZNER_TOKEN_ENV: BAD["wrong"]}):
            planted.fails("command, wrong token", hetzner, command)
    _with_bucket(planted, hetzner)
    with variables({HOOK: f"{os.environ[HOOK]}\n{MARK}hook2line", HETZNER_TOKEN_ENV: BAD["wrong"]}):
        planted.fails("webhook of two lines", hetzner)


def _without_a_way(planted: Planted, hetzner: Callable[[Graph], Ran], proxmox: Callable[[Graph], Ran]) -> None:
    sites = load_settings(planted.root).sites
    here, there = sites.hetzner[SITE], sites.proxmox[SITE]
    # The node's port speaks TLS, by an authority that only the lab's settings trust.
    strange = Sites(
        hetzner={SITE: here.model_copy(update={"endpoint": f"https://{there.host}:{there.port}/v1"})},
        proxmox={SITE: there.model_copy(update={"ca_file": None})},
    )
    with configured(planted.root, sites=strange), variables(dict.fromkeys(TRUST)):
        planted.fails("hetzner, no trust", hetzner)
        planted.fails("proxmox, no trust", proxmox)
    nowhere = here.model_copy(update={"endpoint": "http://127.0.0.1:9/v1"})
    closed = Sites(hetzner={SITE: nowhere}, proxmox=sites.proxmox)
    with configured(planted.root, sites=closed):
        planted.fails("hetzner, no answer", hetzner)
    for what, proxy in PROXIES.items():
        with variables({"http_proxy": proxy, "NO_PROXY": None, "no_proxy": None}):
            planted.fails(f"hetzner, proxy {what}", hetzner)


def _with_bucket(planted: Planted, hetzner: Callable[[Graph], Ran]) -> None:
    bucket = RepositorySettings(kind="gcs", bucket="some-bucket", endpoint="https://127.0.0.1:9", lab=True)
    with configured(planted.root, repository=bucket):
        for name in ("HYOPS_VYOS_GCS_SA_JSON", "HYOPS_VYOS_GCS_SA_JSON_FILE"):
            with variables({name: KEY}):
                planted.fails(f"bucket, {name}", hetzner)


@contextmanager
def configured(root: RuntimeRoot, **changes: object) -> Iterator[None]:
    former = load_settings(root)
    save_settings(root, former.model_copy(update=changes), heading="test")
    try:
        yield
    finally:
        save_settings(root, former, heading="test")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(root: RuntimeRoot, hook: str) -> None:
    settings: Settings = load_settings(root)
    save_settings(root, settings.model_copy(update={"notify": NotifySettings(webhook_env=HOOK)}), heading="test")
    os.environ[HOOK] = hook
    os.environ["DAGSTER_HOME"] = str(root.dagster_home)
    # With Dagster's own log manager, as runs of the daemon have it: what steps print is kept below the root.
    with dg.DagsterInstance.from_config(str(root.dagster_home)) as instance:
        run_all(Planted(root, instance))


if __name__ == "__main__":
    write_without_fsync()
    keep_connections_and_migrations()
    main(RuntimeRoot(Path(sys.argv[1])), sys.argv[2])
