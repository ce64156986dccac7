import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from hyops_assets.contract.inputs import GCS_KEY_VARIABLES
from hyops_lab.ensemble import (
    GCS_BUCKET,
    HETZNER_TOKEN_ENV,
    HOST,
    PROXMOX_TOKEN_ENV,
    PROXMOX_TOKEN_ID,
    Ensemble,
    PortInUse,
)


@pytest.fixture
def lab(tmp_path: Path) -> Ensemble:
    return Ensemble(tmp_path / "lab")


@pytest.fixture
def serving(lab: Ensemble) -> Iterator[Ensemble]:
    with lab.up():
        yield lab


def ports(lab: Ensemble) -> dict[str, int]:
    return json.loads(lab.files.ports.read_text())


def client(lab: Ensemble) -> httpx.Client:
    return httpx.Client(verify=ssl.create_default_context(cafile=lab.files.certificate))


def test_every_stand_in_answers_its_own_protocol_where_the_ports_say(serving: Ensemble) -> None:
    port, tokens = ports(serving), serving.tokens
    proxmox = {"Authorization": f"PVEAPIToken={PROXMOX_TOKEN_ID}={tokens[PROXMOX_TOKEN_ENV]}"}
    hetzner = {"Authorization": f"Bearer {tokens[HETZNER_TOKEN_ENV]}"}
    with client(serving) as ask:
        answers = {
            "objects": ask.get(f"https://{HOST}:{port['objects']}/none").status_code,
            "feed": ask.get(f"https://{HOST}:{port['feed']}/none").status_code,
            "proxmox": ask.get(f"https://{HOST}:{port['proxmox']}/api2/json/version", headers=proxmox).status_code,
            "hetzner": ask.get(f"http://{HOST}:{port['hetzner']}/v1/images", headers=hetzner).status_code,
        }
    assert answers == {"objects": 404, "feed": 404, "proxmox": 200, "hetzner": 200}


def test_no_stand_in_answers_a_wrong_token(serving: Ensemble) -> None:
    port = ports(serving)
    with client(serving) as ask:
        proxmox = ask.get(
            f"https://{HOST}:{port['proxmox']}/api2/json/version",
            headers={"Authorization": f"PVEAPIToken={PROXMOX_TOKEN_ID}=wrong"},
        )
        hetzner = ask.get(f"http://{HOST}:{port['hetzner']}/v1/images", headers={"Authorization": "Bearer wrong"})
    assert (proxmox.status_code, hetzner.status_code) == (401, 401)


def test_nothing_listens_beyond_loopback(serving: Ensemble) -> None:
    try:
        own = socket.gethostbyname(socket.gethostname())
    except socket.gaierror:
        own = "127.0.0.1"
    if own.startswith("127."):
        pytest.skip("this host has no other address, or none under its name")
    for port in ports(serving).values():
        with closing(socket.socket()) as probe:
            assert probe.connect_ex((own, port)) != 0


def test_ports_come_back_after_a_restart_and_tokens_do_not(lab: Ensemble) -> None:
    with lab.up():
        before = ports(lab)
    again = Ensemble(lab.files.directory)
    with again.up():
        assert ports(again) == before
        assert again.objects.port == before["objects"]
    assert not set(again.tokens.values()) & set(lab.tokens.values())


def test_a_stopped_lab_listens_nowhere(lab: Ensemble) -> None:
    with lab.up():
        pass
    for port in ports(lab).values():
        with closing(socket.socket()) as probe:
            assert probe.connect_ex((HOST, port)) != 0


@pytest.mark.parametrize("room", ["objects", "feed", "proxmox", "hetzner"])
def test_a_taken_port_is_named_and_the_others_are_given_back(lab: Ensemble, room: str) -> None:
    with lab.up():
        pass
    before = ports(lab)
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, before[room]))
        other.listen()
        again = Ensemble(lab.files.directory)
        with pytest.raises(PortInUse, match=str(before[room])) as caught, again.up():
            pass
        assert str(lab.files.directory) in caught.value.hint
    with again.up():
        assert ports(again) == before


def test_a_taken_rescue_port_is_reported_before_a_server_needs_it(lab: Ensemble) -> None:
    with lab.up():
        before = ports(lab)
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.2", before["rescue"]))
        other.listen()
        with pytest.raises(PortInUse), Ensemble(lab.files.directory).up():
            pass


def test_an_error_of_the_callers_block_is_raised_unchanged(lab: Ensemble) -> None:
    with pytest.raises(OSError, match="address already in use") as caught, lab.up():
        raise OSError(98, "address already in use")
    assert not isinstance(caught.value, PortInUse)


def test_the_authoritys_private_key_and_the_tokens_are_in_no_file(serving: Ensemble) -> None:
    secrets = [token.encode() for token in serving.tokens.values()] + [b"PRIVATE KEY"]
    found = [
        path
        for path in serving.files.directory.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in secrets)
    ]
    assert found == []


def test_the_labs_directory_is_its_owners_alone(lab: Ensemble) -> None:
    assert lab.files.directory.stat().st_mode & 0o777 == 0o700


def test_google_cloud_storage_is_served_where_it_is_wanted_and_comes_back_where_it_was(tmp_path: Path) -> None:
    lab = Ensemble(tmp_path / "lab", gcs=True)
    with lab.up(), client(lab) as ask:
        port = ports(lab)["gcs"]
        assert ask.get(f"https://{HOST}:{port}/absent-bucket/x").status_code == 404
    with Ensemble(tmp_path / "lab").up():
        assert ports(lab)["gcs"] == port
    again = Ensemble(tmp_path / "lab", gcs=True)
    assert again.gcs is not None
    assert again.gcs.port == port


def key_of(lab: Ensemble) -> dict[str, str]:
    return json.loads(lab.environment[GCS_KEY_VARIABLES[1]])


def test_a_lab_with_a_bucket_gives_its_publisher_s_key_to_the_environment_and_to_no_file(tmp_path: Path) -> None:
    lab = Ensemble(tmp_path / "lab", gcs=True)
    with lab.up():
        port, key = ports(lab)["gcs"], key_of(lab)
        assert key["token_uri"] == f"https://{HOST}:{port}/token"
        # A file that a user's shell names would come before it.
        assert lab.environment[GCS_KEY_VARIABLES[0]] == ""
        with client(lab) as ask:
            public = f"https://{HOST}:{port}/storage/v1/b/{GCS_BUCKET}/iam/testPermissions"
            asked = {"permissions": ["storage.objects.get", "storage.objects.list"]}
            assert ask.get(public, params=asked).json()["permissions"] == ["storage.objects.get"]
    held = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in held if b"PRIVATE KEY" in path.read_bytes()]


def test_a_publisher_s_key_ends_with_its_lab_and_the_port_comes_back(tmp_path: Path) -> None:
    keys: list[dict[str, str]] = []
    for _ in range(2):
        lab = Ensemble(tmp_path / "lab", gcs=True)
        with lab.up():
            keys.append(key_of(lab))
    assert keys[0]["token_uri"] == keys[1]["token_uri"]
    assert keys[0]["private_key_id"] != keys[1]["private_key_id"]
    assert [path.stem for path in (tmp_path / "lab/gcs/accounts").iterdir()] == [keys[1]["private_key_id"]]
