"""Each place where a configuration, a key or an identity can stand is looked at, in both directories of VyOS."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.inspection.questions import inspect
from hyops_assets.image.inspection.router_paths import CLOUD_STATE, CONFIG_DIRECTORIES, IDENTITIES, LEDGER
from hyops_assets.image.programs import run
from hyops_lab.miniature import saved_config
from tests.image.conftest import RELEASE
from tests.image.inspection.bench import UPPER, Bench, expected, failed

pytestmark = pytest.mark.seconds

LOGIN = saved_config(RELEASE)
KEY = "ssh-ed25519 AAAA me\n"
OWN = "-----BEGIN OPENSSH PRIVATE KEY-----\n"


def of_a_directory(directory: str) -> Mapping[str, tuple[str, str]]:
    """What may stand below a configuration's directory: path, the question that tells it, and its content."""
    return {
        f"{directory}/config.boot": ("no_default_credentials", LOGIN),
        f"{directory}/config.boot.20260303-002700.pre-migration": ("no_default_credentials", LOGIN),
        f"{directory}/archive/config.boot": ("no_default_credentials", LOGIN),
        f"{directory}/config.boot.default": ("no_default_credentials", LOGIN),
        f"{directory}/auth/authorized_keys": ("no_authorized_keys", KEY),
        f"{directory}/ssh/ssh_host_rsa_key": ("no_host_keys", "x\n"),
        f"{directory}/auth/ipsec/key.pem": ("no_files_of_one_router", "x\n"),
        f"{directory}/scripts/vyos-preconfig-bootup.script": ("no_files_of_one_router", "#!/bin/sh\n"),
        f"{directory}/user-data/notes": ("no_files_of_one_router", "x\n"),
        f"{directory}/{LEDGER}": ("no_cloud_instance_state", "{}\n"),
    }


PLANTED: Mapping[str, tuple[str, str]] = {
    **of_a_directory(CONFIG_DIRECTORIES[0]),
    **of_a_directory(CONFIG_DIRECTORIES[1]),
    **{f"{directory}/instance": ("no_cloud_instance_state", "i-1\n") for directory in CLOUD_STATE},
    **dict.fromkeys(IDENTITIES, ("no_machine_id", "0" * 32 + "\n")),
    "/etc/shadow-": ("no_default_credentials", "vyos:$6$salt$hash:19000:0:99999:7:::\n"),
    "/etc/passwd-": ("no_default_credentials", "ops::1000:1000::/home/ops:/bin/sh\n"),
    "/etc/hostid": ("no_machine_id", "1234"),
    "/etc/nvme/hostid": ("no_machine_id", "0" * 32),
    "/var/lib/dhcp/dhclient_eth0.leases": ("no_machine_id", "lease {}\n"),
    "/var/lib/systemd/network/eth0": ("no_machine_id", "x\n"),
    "/root/.ssh/id_ed25519": ("no_files_of_one_router", OWN),
    "/home/ops/keys/wg0.conf": ("no_files_of_one_router", f"[Interface]\n{OWN}"),
    "/etc/swanctl/private/site.pem": ("no_files_of_one_router", OWN),
    "/usr/local/share/tls.key": ("no_files_of_one_router", OWN),
    "/root/.bash_history": ("no_build_leftovers", "set system login user vyos authentication plaintext-password x\n"),
    "/home/ops/.viminfo": ("no_build_leftovers", "x\n"),
    "/opt/vyatta/etc/config.boot.default": ("no_default_credentials", LOGIN),
    "/home/ops/.ssh/authorized_keys": ("no_authorized_keys", KEY),
    "/etc/dropbear/dropbear_rsa_host_key": ("no_host_keys", "x\n"),
}


@pytest.fixture
def bench(built: tuple[Path, BuiltDisk], tmp_path: Path) -> Bench:
    run(["cp", "--sparse=auto", built[0], tmp_path / "disk.raw"])
    return Bench(tmp_path / "disk.raw", tmp_path)


def test_whatever_stands_at_a_place_is_named_by_its_question(bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    for path, (_, content) in PLANTED.items():
        bench.write(f"{UPPER}{path}", content)
    details = {finding.name: finding.detail for finding in inspect(bench.disk, expected(built[1]), bench.scratch)}
    assert [path for path, (question, _) in PLANTED.items() if path not in details[question]] == []


def test_what_live_boot_copies_at_a_first_boot_is_the_images_own(bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    bench.write(f"{UPPER}/config/.vyatta_config", "")
    assert failed(inspect(bench.disk, expected(built[1]), bench.scratch)) == []


def test_a_schema_that_only_the_reference_holds_is_enough(bench: Bench, built: tuple[Path, BuiltDisk]) -> None:
    bench.device(f"{UPPER}/opt/vyatta/share/vyatta-cfg/templates")
    for name in ("__init__.py", "cache.py"):
        bench.write(f"{UPPER}/usr/lib/python3/dist-packages/vyos/xml_ref/{name}", "x\n")
    findings = inspect(bench.disk, expected(built[1]), bench.scratch)
    assert failed(findings) == []
    assert next(one.detail for one in findings if one.name == "commands_can_be_checked").endswith("vyos/xml_ref")
