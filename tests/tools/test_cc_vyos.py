import importlib.util
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hyops_assets.image.canonical_helper import canonical_helper
from hyops_assets.lab.lookalike import configtree, schema
from hyops_assets.lab.lookalike.configtree import ConfigTree
from hyops_assets.lab.miniature import default_config

RELEASE = "2026.03.03-0027-rolling"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh admin@example.net"
HASH = "$6$salt$2SmtBzrGPSsChcVRJzPr6fFVnBRGSQlGjxUxvAUdiyIzRH.YAUvcCCiJsCpINbMJCbPQPXOSuDVCyHFNCuOlV/"

HETZNER = {
    "version": 1,
    "config": [
        {
            "type": "physical",
            "name": "eth0",
            "mac_address": "96:00:00:08:19:da",
            "subnets": [
                {"ipv4": True, "type": "dhcp", "dns_nameservers": ["185.12.64.1", "185.12.64.2"]},
                {
                    "ipv6": True,
                    "type": "static",
                    "address": "2a01:4f8:beef:beef::1/64",
                    "gateway": "fe80::1",
                    "dns_nameservers": ["2a01:4ff:ff00::add:2", "2a01:4ff:ff00::add:1"],
                },
            ],
        }
    ],
}
PROXMOX = {
    "version": 1,
    "config": [
        {
            "type": "physical",
            "name": "eth0",
            "mac_address": "bc:24:11:aa:bb:cc",
            "subnets": [
                {"type": "static", "address": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "192.0.2.1"},
                {"type": "static6", "address": "2001:db8::10/64", "gateway": "2001:db8::1"},
            ],
        },
        {"type": "nameserver", "address": ["192.0.2.53"], "search": ["example.net"]},
    ],
}


class Guest:
    """A guest's files in a directory, and what cloud-init would hand to the module."""

    def __init__(self, root: Path, module: ModuleType, templates: Path) -> None:
        self.root = root
        self.module = module
        self.templates = templates
        self.network: dict[str, Any] | None = {"version": 1, "config": []}
        self.keys: list[str] = []
        self.host: Any = None

    def boot(self, **cfg: Any) -> list[str]:
        cloud = SimpleNamespace(
            datasource=SimpleNamespace(network_config=self.network),
            get_public_ssh_keys=lambda: self.keys,
            get_hostname=lambda **_: self.host,
        )
        return self.module.apply_vyos_config_boot(
            cfg, cloud, logging.getLogger("cc_vyos"), self.module.Schema(self.templates)
        )

    @property
    def text(self) -> str:
        return (self.root / "config" / "config.boot").read_text()

    @property
    def commands(self) -> list[str]:
        return ConfigTree(self.text).to_commands().splitlines()


@pytest.fixture
def cc_vyos() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("cc_vyos_under_test", canonical_helper())
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    package = ModuleType("vyos")
    sys.modules.update({"vyos": package, "vyos.configtree": configtree})
    yield module
    del sys.modules["vyos"], sys.modules["vyos.configtree"]


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("templates")
    for name, text in schema.templates().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def guest(tmp_path: Path, cc_vyos: ModuleType, templates: Path, monkeypatch: pytest.MonkeyPatch) -> Guest:
    default = tmp_path / "config.boot.default"
    default.write_text(default_config(RELEASE))
    (tmp_path / "config").mkdir()
    monkeypatch.setattr(cc_vyos, "CONFIG", tmp_path / "config" / "config.boot")
    monkeypatch.setattr(cc_vyos, "DEFAULT_CONFIGS", (default,))
    monkeypatch.setattr(cc_vyos, "MIGRATION", tmp_path / "migrate")
    monkeypatch.setattr(cc_vyos, "INTERFACES", tmp_path / "net")
    return Guest(tmp_path, cc_vyos, templates)


def test_it_carries_what_hybridops_looks_for():
    text = canonical_helper().read_text()
    for marker in (
        "def apply_vyos_config_boot",
        "def apply_vyos_commands",
        "normalize_vyos_config_commands",
        "cfg.get('vyos_config_commands')",
        "parse_commands(vyos_command)",
        "config.delete_value(",
        "config.to_string()",
    ):
        assert marker in text


def test_cloud_init_finds_its_frequency_and_distributions(cc_vyos):
    assert cc_vyos.meta["frequency"] == cc_vyos.frequency == "once-per-instance"
    assert cc_vyos.meta["distros"] == ["all"]
    # With activate_by_schema_keys it would be skipped where no commands are given, and vyos/vyos would stay.
    assert "activate_by_schema_keys" not in cc_vyos.meta


def test_without_key_and_password_nobody_can_log_in_and_ssh_is_off(guest, caplog):
    assert guest.boot() == []
    assert guest.module.usable_logins(ConfigTree(guest.text)) == []
    assert not any("ssh" in line for line in guest.commands)
    assert "nobody can log in" in caplog.text


def test_the_isos_default_login_is_disarmed_even_where_a_key_is_given(guest):
    guest.keys = [KEY]
    guest.boot()
    assert "set system login user vyos authentication encrypted-password '*'" in guest.commands
    assert "$6$" not in guest.text


def test_a_default_login_in_an_existing_configuration_is_disarmed(guest):
    (guest.root / "config" / "config.boot").write_text(default_config(RELEASE))
    guest.boot()
    assert "$6$" not in guest.text


def test_an_owners_password_in_an_existing_configuration_stays(guest):
    default = default_config(RELEASE)
    owned = default.replace(default.split('encrypted-password "')[1].split('"')[0], HASH)
    (guest.root / "config" / "config.boot").write_text(owned)
    guest.boot()
    assert HASH in guest.text


def test_a_key_opens_ssh_without_passwords(guest):
    guest.keys = [KEY]
    assert guest.boot() == []
    assert "set service ssh port '22'" in guest.commands
    assert "set service ssh disable-password-authentication" in guest.commands
    base = "set system login user vyos authentication public-keys admin@example.net"
    assert f"{base} type 'ssh-ed25519'" in guest.commands
    assert any(line.startswith(f"{base} key 'AAAA") for line in guest.commands)


def test_something_that_is_no_key_is_reported(guest):
    assert guest.boot(ssh_authorized_keys=["ssh-ed25519 nonsense!"]) == ["ssh key 1 of vyos is not a public key"]


def test_two_keys_of_one_comment_both_stay(guest):
    other = KEY.replace("FhYWFh ", "FhYWFi ")
    guest.boot(ssh_authorized_keys=[KEY, other])
    assert sum(" key '" in line for line in guest.commands) == 2


def test_a_hash_is_taken_as_it_is(guest):
    guest.boot(password=HASH)
    assert f"set system login user vyos authentication encrypted-password '{HASH}'" in guest.commands


def test_a_plain_password_never_stands_on_the_disk(guest):
    guest.boot(password="correct horse")
    assert "correct horse" not in guest.text
    stored = ConfigTree(guest.text).return_value(
        ["system", "login", "user", "vyos", "authentication", "encrypted-password"]
    )
    assert guest.module.is_password(stored, "correct horse")


def test_proxmox_user_names_the_default_user(guest):
    guest.boot(user="netadmin", ssh_authorized_keys=[KEY], users=["default"])
    assert any(line.startswith("set system login user netadmin authentication public-keys") for line in guest.commands)


def test_users_get_their_own_keys_and_passwords(guest):
    users = [
        "default",
        {"name": "ops", "passwd": HASH, "ssh_authorized_keys": [KEY]},
        {"name": "no", "passwd": HASH, "lock_passwd": True},
    ]
    assert guest.boot(users=users) == []
    assert f"set system login user ops authentication encrypted-password '{HASH}'" in guest.commands
    assert not any(" user no " in line for line in guest.commands)


def test_a_random_password_is_refused_because_nobody_would_know_it(guest):
    problems = guest.boot(chpasswd={"list": "vyos:RANDOM\n"})
    assert "known to nobody" in problems[0]
    assert guest.module.usable_logins(ConfigTree(guest.text)) == []


def test_password_logins_by_ssh_follow_ssh_pwauth(guest):
    guest.boot(password=HASH, ssh_pwauth=False)
    assert "set service ssh disable-password-authentication" in guest.commands


def test_host_name_and_domain_come_from_the_metadata(guest):
    guest.host = ("edge1.example.net", False)
    assert guest.boot() == []
    assert "set system host-name 'edge1'" in guest.commands
    assert "set system domain-name 'example.net'" in guest.commands


def test_a_bad_host_name_is_reported_and_not_set(guest):
    assert guest.boot(hostname="a b") == ["host name 'a b' is not one"]
    assert "set system host-name 'vyos'" in guest.commands


@pytest.mark.parametrize("with_type", [True, False])
def test_hetzners_ipv6_gateway_becomes_an_ipv6_default_route(guest, with_type):
    guest.network = HETZNER
    if not with_type:
        subnet = {key: value for key, value in HETZNER["config"][0]["subnets"][1].items() if key != "type"}
        first = HETZNER["config"][0]["subnets"][0]
        guest.network = {"version": 1, "config": [{**HETZNER["config"][0], "subnets": [first, subnet]}]}
    assert guest.boot() == []
    assert "set protocols static route6 ::/0 next-hop fe80::1 interface 'eth0'" in guest.commands
    assert "set interfaces ethernet eth0 address 'dhcp'" in guest.commands
    assert "set interfaces ethernet eth0 address '2a01:4f8:beef:beef::1/64'" in guest.commands
    assert "set interfaces ethernet eth0 hw-id '96:00:00:08:19:da'" in guest.commands
    assert not any("0.0.0.0/0" in line for line in guest.commands)
    assert sum("name-server" in line for line in guest.commands) == 4


def test_proxmox_dual_stack_keeps_both_default_routes(guest):
    guest.network = PROXMOX
    assert guest.boot() == []
    assert "set protocols static route 0.0.0.0/0 next-hop 192.0.2.1" in guest.commands
    assert "set protocols static route6 ::/0 next-hop 2001:db8::1" in guest.commands
    assert "set interfaces ethernet eth0 address '192.0.2.10/24'" in guest.commands
    assert "set system name-server '192.0.2.53'" in guest.commands
    assert "set system domain-search 'example.net'" in guest.commands
    assert "ethernet eth0 {" in guest.text
    assert "route6 ::/0 {" in guest.text


def test_slaac_is_autoconf(guest):
    guest.network = {
        "version": 1,
        "config": [{"type": "physical", "name": "eth0", "subnets": [{"type": "ipv6_slaac"}]}],
    }
    guest.boot()
    assert "set interfaces ethernet eth0 ipv6 address autoconf" in guest.commands


def test_version_2_with_a_gateway_on_the_link(guest):
    guest.network = {
        "version": 2,
        "ethernets": {
            "eth0": {
                "match": {"macaddress": "96:00:00:08:19:da"},
                "addresses": ["203.0.113.7/32", "2001:db8::7/64"],
                "routes": [{"to": "default", "via": "172.31.1.1"}, {"to": "::/0", "via": "fe80::1"}],
                "nameservers": {"addresses": ["192.0.2.53"]},
            }
        },
    }
    assert guest.boot() == []
    assert "set protocols static route 172.31.1.1/32 interface eth0" in guest.commands
    assert "set protocols static route 0.0.0.0/0 next-hop 172.31.1.1" in guest.commands
    assert "set protocols static route6 ::/0 next-hop fe80::1 interface 'eth0'" in guest.commands


def test_a_vlan_stands_below_its_device(guest):
    vlan = {"type": "vlan", "name": "eth0.100", "vlan_link": "eth0", "vlan_id": 100, "subnets": [{"type": "dhcp"}]}
    guest.network = {"version": 1, "config": [vlan]}
    assert guest.boot() == []
    assert "set interfaces ethernet eth0 vif 100 address 'dhcp'" in guest.commands


def test_a_device_is_found_by_its_hardware_address(guest):
    (guest.root / "net" / "eth1").mkdir(parents=True)
    (guest.root / "net" / "eth1" / "address").write_text("bc:24:11:aa:bb:cc\n")
    guest.network = PROXMOX
    assert guest.boot() == []
    assert "set interfaces ethernet eth1 address '192.0.2.10/24'" in guest.commands


def test_without_a_network_configuration_eth0_asks_by_dhcp(guest):
    guest.network = None
    guest.boot()
    assert "set interfaces ethernet eth0 address 'dhcp'" in guest.commands


def test_the_modules_own_option_decides_over_cloud_inits_network_key(guest):
    guest.network = PROXMOX
    guest.boot(network={"config": "disabled"}, vyos_config_options={"network_config": "enabled"})
    assert any("192.0.2.10/24" in line for line in guest.commands)
    (guest.root / "config" / "config.boot").unlink()
    guest.boot(network={"config": "disabled"})
    assert not any("192.0.2.10/24" in line for line in guest.commands)


def test_an_odd_network_configuration_is_reported_and_keys_still_arrive(guest):
    guest.keys = [KEY]
    guest.network = {"version": 1, "config": [{"type": "physical", "name": "eth0", "subnets": [{"type": "static"}]}]}
    problems = guest.boot()
    assert problems == ["apply_network: the data has an unexpected shape (KeyError)"]
    assert any("public-keys" in line for line in guest.commands)


def test_commands_come_last_and_win(guest):
    guest.host = "fromdata"
    assert guest.boot(vyos_config_commands=["set system host-name 'fromcommand'"]) == []
    assert "set system host-name 'fromcommand'" in guest.commands


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("set system time-zone 'Europe/Berlin'", "set system time-zone 'Europe/Berlin'"),
        ("set system time-zone Europe/Berlin", "set system time-zone 'Europe/Berlin'"),
        ('set system login user ops full-name "Op S"', "set system login user ops full-name 'Op S'"),
        ("set interfaces ethernet eth0 address dhcp", "set interfaces ethernet eth0 address 'dhcp'"),
        ("set interfaces ethernet 'eth0' ipv6 address autoconf", "set interfaces ethernet eth0 ipv6 address autoconf"),
        (
            "set protocols static route 10.0.0.0/8 next-hop 192.0.2.1",
            "set protocols static route 10.0.0.0/8 next-hop 192.0.2.1",
        ),
    ],
)
def test_a_command_is_applied(guest, line, expected):
    assert guest.boot(vyos_config_commands=[line]) == []
    assert expected in guest.commands


def test_values_of_a_multi_node_add_up_and_others_replace(guest):
    lines = [
        "set system name-server '1.1.1.1'",
        "set system name-server '8.8.8.8'",
        "set system host-name 'a'",
        "set system host-name 'b'",
    ]
    assert guest.boot(vyos_config_commands=lines) == []
    assert {"set system name-server '1.1.1.1'", "set system name-server '8.8.8.8'", "set system host-name 'b'"} <= set(
        guest.commands
    )
    assert "set system host-name 'a'" not in guest.commands


def test_deleting_a_value_leaves_the_others(guest):
    lines = [
        "set system name-server '1.1.1.1'",
        "set system name-server '8.8.8.8'",
        "delete system name-server '1.1.1.1'",
    ]
    assert guest.boot(vyos_config_commands="\n".join(lines)) == []
    assert "set system name-server '8.8.8.8'" in guest.commands
    assert "set system name-server '1.1.1.1'" not in guest.commands


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("show interfaces", "neither set nor delete"),
        ("set", "names no node"),
        ("set system host-name 'open", "quotes do not match"),
        ("set system no-such-node 'x'", "VyOS has no node 'system no-such-node'"),
        ("set service ssh disable-password-authentication yes", "takes no value"),
        ("set system host-name a b", "takes one value"),
        ("set interfaces ethernet 'eth0 {' address dhcp", "cannot be a node's name"),
        ("delete system domain-name", "nothing to delete"),
        ("delete system host-name 'other'", "does not have the value"),
    ],
)
def test_a_bad_command_is_reported_with_its_line_and_the_rest_is_applied(guest, line, why):
    problems = guest.boot(vyos_config_commands=["set system time-zone 'UTC'", line])
    assert len(problems) == 1
    assert problems[0].startswith("vyos_config_commands, line 2: ")
    assert why in problems[0]
    assert "set system time-zone 'UTC'" in guest.commands


def test_commands_of_the_wrong_type_are_reported(guest):
    assert guest.boot(vyos_config_commands={"set": 1}) == [
        "vyos_config_commands is neither a list of lines nor a text"
    ]


def test_without_vyos_schema_quotes_tell_the_value(guest):
    problems = guest.module.apply_vyos_commands(
        tree := ConfigTree(), ["set system host-name 'x'"], guest.module.Schema(guest.root / "missing")
    )
    assert problems == []
    assert tree.to_commands() == "set system host-name 'x'"


def test_a_problem_makes_the_module_fail_after_everything_else_was_written(guest, caplog):
    cloud = SimpleNamespace(
        datasource=SimpleNamespace(network_config={"version": 1, "config": []}),
        get_public_ssh_keys=lambda: [KEY],
        get_hostname=lambda **_: None,
    )
    with pytest.raises(guest.module.CannotApply, match="line 1"):
        guest.module.handle("vyos", {"vyos_config_commands": ["nonsense"]}, cloud, logging.getLogger("cc_vyos"), [])
    assert any("public-keys" in line for line in guest.commands)
    assert "line 1" in caplog.text


def test_the_footer_of_the_configuration_stays(guest):
    guest.boot()
    assert f"// Release version: {RELEASE}" in guest.text


def test_the_configuration_is_readable_for_its_group_only(guest):
    guest.boot()
    assert (guest.root / "config" / "config.boot").stat().st_mode & 0o777 == 0o660


def test_a_failing_migration_is_logged_and_the_rest_goes_on(guest, caplog):
    script = guest.root / "migrate"
    script.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    script.chmod(0o755)
    guest.boot(vyos_config_commands=["set system host-name 'after'"])
    assert "broken" in caplog.text
    assert "set system host-name 'after'" in guest.commands
