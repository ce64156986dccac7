"""The whole graph on a kernel-less miniature: real bytes, real clients, a real Dagster instance, the lab's clouds."""

import json
import subprocess
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import Record
from hyops_assets.image.digests import sha256_of_file
from hyops_lab.cli.lab import SITE
from hyops_lab.miniature import MadeIso, make_miniature
from hyops_lab.signing import LabKey
from resources.artifacts.store import ArtifactStore
from tests.assets.environment import RELEASE, LabEnvironment, NeverBoots
from tests.assets.ground import own_copy
from tests.clouds import HETZNER, PROXMOX

OBJECTS = f"network/vyos/vyos-1.5-{RELEASE}"
BUILD = "core__shared__vyos-image-build/instances/vyos_default_build.json"
IMAGE = "core__hetzner__vyos-image-seed/latest.json"
TEMPLATE = "core__onprem__vyos-template-seed/latest.json"


def contract_of(home: LabEnvironment, version: str = RELEASE) -> Contract:
    return ArtifactStore(home.root.artifacts).read_document("published_contract", version, Contract)


def test_a_signed_iso_becomes_records_contract_template_and_image(released: LabEnvironment, tmp_path: Path) -> None:
    home = released
    disk = contract_of(home).record.disk
    objects = home.lab.files.objects
    raw = tmp_path / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", objects / f"{OBJECTS}.qcow2", raw], check=True)
    assert (raw.stat().st_size, sha256_of_file(raw)) == (disk.size_bytes, disk.sha256)
    # The others hold the same bytes: comparing takes a part of what hashing each would.
    with subprocess.Popen(["xz", "-dc", objects / f"{OBJECTS}.raw.xz"], stdout=subprocess.PIPE) as decoded:
        subprocess.run(["cmp", "-", raw], stdin=decoded.stdout, check=True)
    assert decoded.returncode == 0
    template = home.lab.proxmox.volume_path(volume_of(home))
    # Identical to it is also what is longer by zeros.
    subprocess.run(["qemu-img", "compare", "-F", "raw", template, raw], check=True)
    told = subprocess.run(["qemu-img", "info", "--output=json", template], check=True, capture_output=True).stdout
    assert json.loads(told)["virtual-size"] == disk.size_bytes
    image = home.lab.hetzner.image_disk(int(home.state(IMAGE)["outputs"]["image_ref"]))
    # A server's disk is larger than the record's.
    subprocess.run(["cmp", "-n", str(disk.size_bytes), image, raw], check=True)


def volume_of(home: LabEnvironment) -> str:
    events = home.instance.fetch_materializations(dg.AssetKey("proxmox_template"), limit=1).records
    materialization = events[0].asset_materialization
    assert materialization is not None
    return str(materialization.metadata["volume"].value)


def test_the_inspection_of_seconds_comes_before_the_boots_of_minutes(released: LabEnvironment) -> None:
    begun = [
        record.step_key
        for run in released.instance.get_runs(dg.RunsFilter(job_name="build_record"))
        for record in released.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
    ]
    assert begun.index("disk_inspection") < begun.index("qcow2_record_boots")


def test_the_documents_verification_commands_find_the_states(released: LabEnvironment) -> None:
    home = released
    for path in (BUILD, IMAGE, TEMPLATE):
        printed = subprocess.run(
            ["jq", ".status,.outputs", home.root.states / path], check=True, capture_output=True, text=True
        ).stdout
        assert printed.startswith('"ok"')
    assert home.state(BUILD)["outputs"]["record_url"].endswith(f"/{OBJECTS}.qcow2")
    assert home.state(IMAGE)["outputs"]["image_description"] == f"hyops-vyos-1.5-{RELEASE}"
    assert home.state(TEMPLATE)["outputs"]["template_vm_id"] in range(9200, 9300)
    assert (home.root.states / BUILD).stat().st_mode & 0o777 == 0o600


def test_a_second_run_adopts_everything_and_changes_nothing(released: LabEnvironment) -> None:
    home, graph = released, released.graph()
    before = home.mutations(), home.published(), [home.state(path) for path in (BUILD, IMAGE, TEMPLATE)]

    again = graph.build(RELEASE).metadata
    template = graph.seed(PROXMOX, SITE, RELEASE).metadata["proxmox_template"]
    image = graph.seed(HETZNER, SITE, RELEASE).metadata["hetzner_image"]

    assert (home.mutations(), home.published(), [home.state(path) for path in (BUILD, IMAGE, TEMPLATE)]) == before
    outcomes = {asset: again[asset]["outcome"] for asset in again}
    assert outcomes == dict.fromkeys(("vyos_iso", "qcow2_record", "raw_xz_record", "published_contract"), "adopted")
    assert (template["outcome"], image["outcome"]) == ("adopted", "adopted")
    assert again["published_contract"]["bytes_sent"] == template["bytes_transferred"] == image["bytes_written"] == 0


def test_the_published_record_is_the_canonical_identity(published: LabEnvironment) -> None:
    home = published
    text = home.published()[f"{OBJECTS}.record.json"]
    record = Record.model_validate_json(text)
    assert record.digest == contract_of(home).record_digest
    assert record.lab
    evidence = [json.loads(home.published()[name]) for name in home.published() if ".evidence-" in name]
    assert [found["record_digest"] for found in evidence] == [record.digest]
    assert {gate["name"] for gate in evidence[0]["gates"]} >= {
        "boots_bios",
        "boots_uefi",
        "variants_decode_to_one_disk",
    }


def test_a_failed_gate_burns_no_public_name_and_is_asked_again(home: LabEnvironment) -> None:
    with pytest.raises(RunFailed, match="boots_bios"):
        home.graph(boot_gate=NeverBoots()).build(RELEASE)
    assert home.published() == {}
    assert not (home.root.states / BUILD).exists()
    home.graph().build(RELEASE)
    assert f"{OBJECTS}.record.json" in home.published()


def test_a_tampered_iso_is_refused_and_nothing_of_it_is_kept(home: LabEnvironment, miniature: MadeIso) -> None:
    served = own_copy(home.lab.files.feed / RELEASE / miniature.iso.name)
    content = bytearray(served.read_bytes())
    content[len(content) // 2] ^= 1
    served.write_bytes(content)
    with pytest.raises(RunFailed, match=r"BadSignature: .*tampered with"):
        home.graph().build(RELEASE)
    assert home.published() == {}
    assert not list(home.root.artifacts.glob("blobs/*/*"))
    assert not list(home.root.artifacts.glob("cache/iso/*.iso"))


def test_an_iso_of_an_untrusted_key_is_refused(home: LabEnvironment, tmp_path: Path) -> None:
    stranger = make_miniature(tmp_path / "stranger", RELEASE, LabKey.generate())
    home.announce(stranger)
    with pytest.raises(RunFailed, match="key"):
        home.graph().build(RELEASE)
    assert home.published() == {}


def test_a_missing_site_is_an_error_that_says_how_to_add_one(home: LabEnvironment) -> None:
    with pytest.raises(Exception, match=r"sites\.hetzner\.elsewhere"):
        home.graph().seed(HETZNER, "elsewhere", RELEASE)
