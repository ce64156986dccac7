"""A release built again: as the next free revision, with the reason in its evidence; by itself, if settings say so."""

import json
import os
import re
from typing import Any

import dagster as dg
import pytest

from hyops_assets.cli.environment import Place
from hyops_assets.cli.rebuild import rebuild
from hyops_assets.contract.errors import Refused
from hyops_assets.definitions import build_definitions
from hyops_assets.image.recipe import Recipe
from hyops_assets.settings.build import BuildSettings
from tests.assets.environment import RELEASE, LabEnvironment
from tests.cli.shell import hyops


def tick(home: LabEnvironment, **build: Any) -> dg.SensorResult:
    changed = home.settings.build.model_copy(update=build)
    home.configure(build=changed)
    definitions = build_definitions(home.root, home.settings)
    sensor = definitions.resolve_sensor_def("recipe_changes")
    resources = {
        name: (definitions.resources or {})[name]
        for name in ("environment", "settings", "store", "repository", "states")
    }
    with dg.build_sensor_context(instance=home.instance, definitions=definitions, resources=resources) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_release_is_not_rebuilt_before_it_is_published_nor_without_a_reason(home: LabEnvironment) -> None:
    place = Place(home.root, "")
    with pytest.raises(Refused, match="without a reason"):
        rebuild(place, RELEASE, " ")
    with pytest.raises(Refused, match="is not published"):
        rebuild(place, RELEASE, "the helper was mended")
    assert "names no record" in str(tick(home).skip_reason)


@pytest.mark.slow
def test_a_rebuild_is_the_next_free_revision_with_its_reason_and_a_changed_recipe_asks_for_one(
    published: LabEnvironment,
) -> None:
    home = published
    before = home.published()
    assert "built by today's recipe" in str(tick(home).skip_reason)
    # The same bytes: the miniature, which has nothing to boot, passed its gates.
    ran = hyops(os.environ, "rebuild", RELEASE, "--root", home.root.path, "--reason", " the helper was mended ")
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    assert re.search(r"^  boots_uefi +adopted ", ran.stdout, re.MULTILINE)
    said = ran.stdout.splitlines()[-1]
    assert said.startswith(f"{RELEASE}-r2 is published: ")
    evidence = said.rsplit("/", 1)[-1]
    (document,) = [body for name, body in home.published().items() if name.endswith(evidence)]
    told = json.loads(document)
    assert told["build"]["rebuild_reason"] == "the helper was mended"
    assert told["record"]["version"] == f"{RELEASE}-r2"
    assert before.items() <= home.published().items()

    result = tick(home, packages=["cloud-init"])
    (request,) = result.run_requests or []
    assert request.partition_key == f"{RELEASE}-r3"
    assert "packages" in request.run_config["ops"]["qcow2_record"]["config"]["rebuild_reason"]
    again = tick(home, packages=["cloud-init"])
    assert [one.run_key for one in again.run_requests or []] == [request.run_key]


def test_what_a_rebuild_is_worth_for_is_helper_builder_lock_and_packages_alone() -> None:
    def recipe(**changes: Any) -> Recipe:
        given = {"iso_sha256": "0" * 64, "helper_sha256": "1" * 64, "builder": "5", "lock_sha256": None, **changes}
        return Recipe.of(BuildSettings(), method_inputs={}, **given)

    former = recipe().model_dump(mode="json")
    assert recipe().differs_from(former) == ""
    assert recipe(builder="6").differs_from(former) == "builder 5 became 6"
    assert recipe(helper_sha256="2" * 64).differs_from(former) == "helper_sha256 111111111111 became 222222222222"
    assert recipe(iso_sha256="3" * 64).differs_from(former) == ""
    larger = recipe().model_copy(update={"disk_bytes": 8 << 30})
    assert larger.differs_from(former) == ""
