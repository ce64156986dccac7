"""The rules of a published record, each with the refusal: one record, names written once, the commit point, slots.

docs/contract.md says which test shows which rule.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hyops_assets.assets.publish_documents import commit
from hyops_assets.cli.environment import Place
from hyops_assets.cli.graph import RunFailed
from hyops_assets.cli.modules import by_url
from hyops_assets.cli.modules.work import Work
from hyops_assets.contract.documents import CandidateRecord
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.inputs import ImageSeedInputs, read_inputs
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import VariantFormat
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, StateRef
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.digests import sha256_of_bytes
from hyops_lab.cli.lab import SITE
from hyops_lab.miniature import MadeIso
from resources.artifacts.store import ArtifactStore
from resources.repository.base import ObjectConflict, Published, RepositoryFailed
from resources.repository.directory import DirectoryRepository
from resources.repository.revisions import is_published
from tests.assets.environment import RELEASE, LabEnvironment
from tests.cli import shell
from tests.clouds import HETZNER

OBJECTS = f"network/vyos/vyos-1.5-{RELEASE}"
VERSION = RecordVersion.parse(RELEASE)
LATEST_IMAGE = "core__hetzner__vyos-image-seed/latest.json"


def hyops(home: LabEnvironment, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return shell.hyops(os.environ, *words, "--root", home.root.path, within=180)


def everything(home: LabEnvironment) -> Mapping[str, bytes]:
    return {
        str(path.relative_to(home.root.states)): path.read_bytes() for path in sorted(home.root.states.rglob("*.json"))
    }


def candidate_of(home: LabEnvironment) -> CandidateRecord:
    return ArtifactStore(home.root.artifacts).read_document("raw_xz_record", RELEASE, CandidateRecord)


def contract_of(home: LabEnvironment) -> Contract:
    return ArtifactStore(home.root.artifacts).read_document("published_contract", RELEASE, Contract)


# Names are written once (rule 2).


def test_apply_does_not_build_a_published_version_again_and_names_the_free_revision(
    seeded: LabEnvironment, tmp_path: Path
) -> None:
    inputs = tmp_path / "inputs.yml"
    inputs.write_text(f"record_version: {RELEASE}\nrebuild_if_exists: true\n")
    before = everything(seeded), seeded.published()
    for command in ("apply", "plan"):
        ran = hyops(seeded, command, "--module", IMAGE_BUILD, "--inputs", inputs)
        assert ran.returncode == 1, ran
        assert "rebuild_if_exists does not replace what is published" in ran.stderr
        assert f"record_version: {RELEASE}-r2" in ran.stderr
    assert (everything(seeded), seeded.published()) == before


def test_the_graph_does_not_build_a_published_version_again_either(seeded: LabEnvironment) -> None:
    with pytest.raises(RunFailed, match=f"AlreadyPublished.*(?s:.*)record_version: {RELEASE}-r2"):
        seeded.graph().build(RELEASE, rebuild_if_exists=True)


@pytest.mark.slow
def test_a_revision_is_built_under_its_own_name_without_the_base_and_never_over_other_bytes(
    built: LabEnvironment, miniature: MadeIso
) -> None:
    home = built
    taken = home.lab.files.objects / f"{OBJECTS}.qcow2"
    taken.parent.mkdir(parents=True, exist_ok=True)
    taken.write_bytes(b"somebody else's disk")
    graph = home.graph()
    with pytest.raises(RunFailed, match=f"published with other bytes(?s:.*)record_version: {RELEASE}-r2"):
        graph.build(RELEASE)

    ran = graph.build(f"{RELEASE}-r2", source_iso_url=str(miniature.iso))
    assert ran.metadata["published_contract"]["outcome"] == "created"
    assert f"{OBJECTS}-r2.record.json" in home.published()
    assert f"{OBJECTS}.record.json" not in home.published()
    assert taken.read_bytes() == b"somebody else's disk"
    assert graph.build(f"{RELEASE}-r2").metadata["published_contract"]["outcome"] == "adopted"

    # The ISO was taken from a path of this host, which is nobody's business.
    evidence = next(text for name, text in home.published().items() if f"{RELEASE}-r2.evidence-" in name)
    assert json.loads(evidence)["iso"]["source_url"] == miniature.iso.name
    assert not [name for name, text in home.published().items() if bytes(miniature.iso.parent) in text]


def test_fifty_writers_of_one_version_leave_one_record(tmp_path: Path) -> None:
    name = f"{OBJECTS}.record.json"

    def write(writer: int) -> str:
        content = b"ours" if writer % 2 else b"other"
        repository = DirectoryRepository(tmp_path)
        try:
            return repository.create(
                name, content, sha256=sha256_of_bytes(content), content_type="application/json", metadata={}
            ).outcome
        except ObjectConflict:
            return "refused"

    with ThreadPoolExecutor(50) as writers:
        outcomes = list(writers.map(write, range(50)))
    assert sorted(outcomes) == ["adopted"] * 24 + ["created"] + ["refused"] * 25
    assert (tmp_path / name).read_bytes() in (b"ours", b"other")


# `record.json` is the commit point (rule 3).


class Dying(DirectoryRepository):
    """A repository that stops answering after some objects."""

    def __init__(self, directory: Path, lives: int) -> None:
        super().__init__(directory)
        self.lives = lives
        self.created: list[str] = []

    def create(
        self,
        name: str,
        source: Path | bytes,
        *,
        sha256: str,
        content_type: str,
        metadata: Mapping[str, str],
        progress: Progress = silent,
    ) -> Published:
        if len(self.created) == self.lives:
            raise RepositoryFailed("gone", hint="repeat")
        self.created.append(name.rsplit(f"{RELEASE}.", 1)[-1])
        return super().create(
            name, source, sha256=sha256, content_type=content_type, metadata=metadata, progress=progress
        )


def test_the_record_is_the_last_object_and_without_it_nothing_is_published(
    seeded: LabEnvironment, tmp_path: Path
) -> None:
    candidate = candidate_of(seeded)
    urls: dict[VariantFormat, str] = dict(contract_of(seeded).urls)
    store = ArtifactStore(seeded.root.artifacts)
    for lives in range(3):
        repository = Dying(tmp_path / str(lives), lives)
        with pytest.raises(RepositoryFailed):
            commit("run", candidate, [], None, urls, store, repository)
        assert not is_published(repository, candidate.record.key, VERSION)
    whole = Dying(tmp_path / "whole", 99)
    commit("run", candidate, [], None, urls, store, whole)
    assert whole.created == ["sbom-run.cdx.json", "evidence-run.json", "record.json"]
    assert is_published(whole, candidate.record.key, VERSION)


def test_a_publication_that_stopped_before_its_record_is_resumed_and_says_so(seeded: LabEnvironment) -> None:
    before = seeded.published()
    (seeded.lab.files.objects / f"{OBJECTS}.record.json").unlink()
    said = seeded.graph().build(RELEASE).metadata["published_contract"]
    assert (said["outcome"], said["bytes_sent"]) == ("resumed", 0)
    assert seeded.published() == before


# A reference decides; a URL counts alone only, and only for known bytes (rule 4).


@pytest.mark.parametrize("changed", ["", "record_sha256", "image_source_url", "record_version"])
def test_a_seed_by_url_takes_only_the_bytes_that_a_contract_names(seeded: LabEnvironment, changed: str) -> None:
    contract = contract_of(seeded)
    given = {
        "image_source_url": contract.urls["raw.xz"],
        "record_version": RELEASE,
        "record_sha256": contract.record.variants["raw.xz"].sha256,
    }
    other = {
        "record_sha256": "0" * 64,
        "image_source_url": f"https://example.org/vyos-1.5-{RELEASE}.raw.xz",
        "record_version": f"{RELEASE}-r2",
    }
    if changed == "record_version":
        given["image_source_url"] = f"https://example.org/vyos-1.5-{RELEASE}-r2.raw.xz"
    given |= {changed: other[changed]} if changed else {}
    inputs = read_inputs(IMAGE_SEED, ImageSeedInputs, given)
    work = Work(Place(seeded.root, ""), StateRef(IMAGE_SEED), inputs, seeded.settings, {}, run_id="apply-1")
    if changed:
        with pytest.raises(by_url.UnknownRecord, match="is known here"):
            by_url.refuse(work)
    else:
        by_url.refuse(work)


# Slots (rule 5) and true reports (rule 6).


@pytest.fixture
def two_projects(seeded: LabEnvironment, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabEnvironment]:
    """The seeded environment and a second Hetzner site: another token, which leads to a project with the record."""
    sites = seeded.settings.sites
    own = sites.hetzner[SITE]
    monkeypatch.setenv("HYOPS_BERLIN_TOKEN", os.environ[own.token_env])
    hetzner = {
        SITE: own.model_copy(update={"default": True}),
        "berlin": own.model_copy(update={"default": False, "token_env": "HYOPS_BERLIN_TOKEN"}),
    }
    seeded.configure(sites=sites.model_copy(update={"hetzner": hetzner}))
    yield seeded
    seeded.configure()


def test_another_site_writes_its_own_slot_and_leaves_the_default_sites_alone(two_projects: LabEnvironment) -> None:
    home = two_projects
    before = (home.root.states / LATEST_IMAGE).read_bytes()
    said = home.graph().seed(HETZNER, "berlin", RELEASE).metadata["hetzner_image"]
    assert said["outcome"] == "adopted"
    assert (home.root.states / LATEST_IMAGE).read_bytes() == before
    own = home.state("core__hetzner__vyos-image-seed/instances/berlin.json")
    assert (own["status"], own["outputs"]["image_version"]) == ("ok", RELEASE)
    # It was found there: this site's seed wrote nothing.
    assert own["outputs"]["image_seeded"] is False
