"""What a plan says of a seed is what apply does: of two snapshots it names the one that apply adopts."""

from pathlib import Path

from hyops_assets.cli.environment import Place
from hyops_assets.cli.modules import seed_outlook
from hyops_assets.cli.prepare import ModuleCommand, prepare
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, StateRef
from tests.assets.ground import Ground

BUILD = StateRef(IMAGE_BUILD, "vyos_default_build")


def test_a_snapshot_of_an_unknown_run_is_not_taken_for_one_of_this_environment(tmp_path: Path, ground: Ground) -> None:
    with ground.environment("seeded", tmp_path / "home") as seeded:
        images = seeded.lab.hetzner.project.contents.images
        (own,) = (image for image in images.values() if image.kind == "snapshot")
        labels = {name: value for name, value in own.labels.items() if "environment" not in name}
        elder = own.model_copy(update={"id": own.id - 1, "labels": labels | {"hyops_run_id": "f" * 36}})
        # Hetzner lists by id.
        del images[own.id]
        images[elder.id], images[own.id] = elder, own
        inputs = tmp_path / "inputs.yml"
        inputs.write_text(f"record_state_ref: {BUILD}\n")
        work = prepare(ModuleCommand("plan", Place(seeded.root, ""), IMAGE_SEED, inputs), {}).work
        (line,) = seed_outlook.plan(work)
        assert (line.action, line.detail.rpartition(" ")[2]) == ("adopt", str(own.id))
        # An environment whose history is not here knows its own by the id that they carry.
        (seeded.root.dagster_home / "dagster.yaml").rename(tmp_path / "dagster.yaml")
        (line,) = seed_outlook.plan(work)
        assert line.detail.endswith(f" {own.id}")
