import hashlib

from hyops_assets.image.boot.nocloud import MARK, Challenge, write_seed
from hyops_assets.image.programs import run


def proof(challenge: Challenge, facts: str) -> str:
    digest = hashlib.sha256(f"{challenge.nonce}{facts}".encode()).hexdigest()
    return f"{MARK} {digest} {facts}"


def test_a_proof_is_found_among_other_lines():
    challenge = Challenge()
    console = f"login: [  1.0] noise\n{proof(challenge, 'stage=final root=overlay')}\n[ 2.0] more"
    assert challenge.verified_facts(console) == {"stage": "final", "root": "overlay"}


def test_a_proof_of_another_boot_is_none():
    assert Challenge().verified_facts(proof(Challenge(), "stage=final")) is None


def test_a_proof_with_other_facts_is_none():
    challenge = Challenge()
    assert challenge.verified_facts(proof(challenge, "root=tmpfs").replace("tmpfs", "overlay")) is None


def test_a_proof_cut_in_two_by_the_kernel_counts_when_it_is_repeated():
    challenge = Challenge()
    whole = proof(challenge, "stage=final root=overlay")
    assert challenge.verified_facts(f"{whole[:90]}\n[ 1.0] kernel\n{whole[90:]}\n") is None
    assert challenge.verified_facts(f"{whole[:90]}\n[ 1.0] kernel\n{whole[90:]}\n{whole}\n") is not None


def test_an_echo_of_the_user_data_is_no_proof(tmp_path):
    challenge = Challenge()
    write_seed(tmp_path / "seed.iso", challenge)
    assert challenge.verified_facts((tmp_path / "seed.d" / "user-data").read_text()) is None


def test_the_seed_is_a_nocloud_disk(tmp_path):
    seed = write_seed(tmp_path / "seed.iso", Challenge())
    described = run(["xorriso", "-no_rc", "-indev", seed, "-pvd_info", "-find", "/"])
    assert "cidata" in described.text + described.stderr
    for name in ("meta-data", "user-data", "network-config"):
        assert name in described.text


def test_the_nonce_is_not_shown_by_accident():
    challenge = Challenge()
    assert challenge.nonce not in repr(challenge)
    assert challenge.nonce not in challenge.host_name
