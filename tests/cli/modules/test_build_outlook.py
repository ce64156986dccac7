"""What a build finds out before a slot or a partition moves; on a lab that announced a release."""

from pathlib import Path

import pytest

from hyops_assets.cli.environment import Place
from hyops_assets.cli.modules import build_outlook
from hyops_assets.cli.modules.work import Work
from hyops_assets.cli.prepare import ModuleCommand, prepare
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, StateRef
from hyops_assets.image.intake.trust import UnknownKey
from hyops_assets.seeds.partitions import VERSIONS
from resources.feed.unknown import ReleaseUnknown
from resources.states.store import Begun, StateStore
from tests.assets.environment import RELEASE, LabEnvironment

BUILD = StateRef(IMAGE_BUILD, "vyos_default_build")


def work(lab_environment: LabEnvironment, tmp_path: Path, version: str, more: str = "") -> Work:
    inputs = tmp_path / "inputs.yml"
    inputs.write_text(f"record_version: {version}\n{more}")
    return prepare(ModuleCommand("apply", Place(lab_environment.root, ""), IMAGE_BUILD, inputs), {}).work


def test_a_release_that_nothing_leads_to_is_refused_before_anything_moves(
    home: LabEnvironment, tmp_path: Path
) -> None:
    for mistyped in ("2026.09.09-0000-rolling", "2026.03.30-0027-rolling-r2"):
        with pytest.raises(ReleaseUnknown, match=mistyped.removesuffix("-r2")) as refused:
            build_outlook.refuse(work(home, tmp_path, mistyped))
        assert f"the feed announces {RELEASE}" in refused.value.message
        assert "https://" not in refused.value.message
        assert "answers 404" in refused.value.hint
    # Of the two, one is spelled nearly as what the feed has.
    assert f"if {RELEASE} was meant, name it" in refused.value.hint
    assert list(home.instance.get_dynamic_partitions(str(VERSIONS.name))) == []
    assert StateStore(home.root).list() == []


def test_an_iso_that_is_not_where_it_was_named_is_refused_before_anything_moves(
    home: LabEnvironment, tmp_path: Path
) -> None:
    named = f"source_iso_url: {tmp_path}/vyos.iso\nallow_iso_build: true\n"
    with pytest.raises(ReleaseUnknown, match=r"vyos\.iso is no file"):
        build_outlook.refuse(work(home, tmp_path, RELEASE, named))


def test_an_iso_of_a_key_that_is_not_trusted_is_refused_before_anything_moves(
    home: LabEnvironment, tmp_path: Path
) -> None:
    home.configure(feed=home.settings.feed.model_copy(update={"keys": []}))
    with pytest.raises(UnknownKey):
        build_outlook.refuse(work(home, tmp_path, RELEASE))


def test_a_plan_names_the_iso_its_size_its_key_and_what_each_site_would_do(
    home: LabEnvironment, tmp_path: Path
) -> None:
    iso, record, gates, *objects, template, image = build_outlook.plan(work(home, tmp_path, RELEASE))
    size = home.lab.files.feed.joinpath(RELEASE).glob("*.iso")
    assert (iso.what, iso.action) == ("iso", "take in")
    assert (
        f"vyos-{RELEASE}-generic-amd64.iso, {next(size).stat().st_size / (1 << 20):.1f} MiB, signed by" in iso.detail
    )
    assert home.settings.feed.keys[0].name in iso.detail
    assert (record.action, [one.action for one in objects]) == ("build", ["publish"] * 3)
    assert (gates.action, gates.detail.partition(": ")[0]) in {
        ("boot", f"the qcow2 under BIOS and UEFI; {kind}") for kind in ("kvm", "tcg")
    }
    assert (template.what, image.what) == ("template", "image")
    assert f"{RELEASE} at proxmox/lab" in template.detail
    assert f"{RELEASE} at hetzner/lab" in image.detail


def test_a_disk_that_is_held_is_adopted_only_if_it_is_of_the_recipe_that_apply_would_follow(
    published: LabEnvironment, tmp_path: Path
) -> None:
    _, record, *objects = build_outlook.plan(work(published, tmp_path, RELEASE))[:5]
    assert (record.what, record.action) == ("record", "adopt")
    assert not any("same bytes" in one.detail for one in objects)
    published.configure(build=published.settings.build.model_copy(update={"console_speed": 9600}))
    _, record, gates, *objects = build_outlook.plan(work(published, tmp_path, RELEASE))[:6]
    assert (record.what, record.action, gates.action) == ("record", "build", "boot")
    assert [one.action for one in objects] == ["adopt"] * 3
    assert all(one.detail.endswith("if what is built has the same bytes; apply refuses others") for one in objects)


def test_a_disk_that_is_to_be_built_again_is_not_adopted(built: LabEnvironment, tmp_path: Path) -> None:
    assert build_outlook.plan(work(built, tmp_path, RELEASE))[1].action == "adopt"
    assert build_outlook.plan(work(built, tmp_path, RELEASE, "rebuild_if_exists: true\n"))[1].action == "build"


def test_what_a_command_publishes_is_not_looked_for_in_the_repository(
    published: LabEnvironment, tmp_path: Path
) -> None:
    asked = work(published, tmp_path, RELEASE, "publish_command: 'false'\n")
    objects = [one for one in build_outlook.plan(asked) if one.what in {"qcow2", "raw.xz", "record.json"}]
    assert [(one.action, "://" in one.detail) for one in objects] == [("publish", False)] * 3
    (found,) = [check for check in build_outlook.checks(asked) if check.name == "repository"]
    assert found.found == "publish_command publishes; apply reads back what it published"


@pytest.mark.parametrize(
    ("variables", "status", "found"),
    [
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "ok", "are set"),
        ({}, "ok", "a profile of AWS' tools serves, if there is one"),
        ({"AWS_ACCESS_KEY_ID": "a"}, "missing", "AWS_SECRET_ACCESS_KEY is unset"),
        ({"AWS_SECRET_ACCESS_KEY": "b", "AWS_ACCESS_KEY_ID": " "}, "missing", "AWS_ACCESS_KEY_ID is unset"),
    ],
    ids=["both", "none", "id-alone", "secret-alone"],
)
def test_a_key_of_an_s3_service_is_both_of_its_halves(variables: dict[str, str], status: str, found: str) -> None:
    check = build_outlook.s3_key_check(variables)
    assert check.status == status
    assert check.found.endswith(found)


def test_an_iso_that_is_held_asks_nothing_of_the_feed(built: LabEnvironment, tmp_path: Path) -> None:
    built.configure(feed=built.settings.feed.model_copy(update={"urls": ["https://127.0.0.1:1/feed.json"]}))
    asked = work(built, tmp_path, f"{RELEASE}-r2")
    build_outlook.refuse(asked)
    assert build_outlook.plan(asked)[0].action == "adopt"


def test_after_a_failed_run_the_former_record_is_taken_with_version_and_cause(
    published: LabEnvironment, tmp_path: Path
) -> None:
    states = StateStore(published.root)
    states.begin(BUILD, Begun("apply-1", "apply", ""), lab=True)
    states.fail(BUILD, run_id="apply-1", error="run 1 of build_record for 2026.09.09-0000-rolling failed: no room")
    inputs = tmp_path / "inputs.yml"
    inputs.write_text(f"record_state_ref: {BUILD}\n")
    resolution = prepare(
        ModuleCommand("apply", Place(published.root, ""), IMAGE_SEED, inputs), {}
    ).resolution.require()
    assert resolution.inputs["record_version"] == RELEASE
    assert resolution.overruled == (
        f"the last run of {BUILD} failed: run 1 of build_record for 2026.09.09-0000-rolling failed: no room; "
        f"it still names {RELEASE}, as before",
    )
