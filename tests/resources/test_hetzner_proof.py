"""Whom a seed takes for the rescue system of its server, and whom it does not."""

import hashlib
import hmac
import lzma
from pathlib import Path
from typing import get_args

import asyncssh
import pytest

from hyops_lab.faults import Pretend
from hyops_lab.hetzner.answers import Exchange
from hyops_lab.hetzner.rescue import Withheld
from resources.sites.hetzner.errors import NotRescue, WriteFailed, WrongCount
from resources.sites.hetzner.password_hash import hash_password
from resources.sites.hetzner.proof import Question, Secrets, require_proof, user_data_with
from resources.sites.hetzner.shell import Login
from tests.hetzner_impostors import Impostor, Relay, expected_words
from tests.hetzner_lab import DISK, Lab, hetzner_lab, make_record
from tests.hetzner_scene import assert_seeded

PASSWORD = "zCWbFhnu950dUTko5f40"
NONCE = "5" * 64
KNOWN = Secrets(1001, NONCE, PASSWORD)
QUESTION = Question("c" * 64, 1001, "AAAAC3NzaC1lZDI1NTE5AAAAIGtleQ")
SETTING = "$6$saltsalt"
HASH = f"{SETTING}$n8Iskb4BAv55X5IKyyi.wVIzJm0TI0woamNjfbUl4j5RM2oHoJZMElbYU11BoWLeOHo1QgefJ7.2OrkqyrMV9/"
YESCRYPT = "$y$j9T$saltsaltsaltsalt$9QzmLaQ79B2bgfqCvNLMnU18R9nTs1JgzR54F94zlaB"


def report(
    question: Question = QUESTION, *, shadow: str = "", nonce: str = "", setting: str = SETTING
) -> dict[str, str]:
    """What a host prints that knows a hash or a nonce, and was asked this."""
    values = {"host_key": "own", "shadow_setting": setting}
    if shadow:
        values["shadow_mac"] = question.answer("shadow", shadow)
    if nonce:
        values["user_data_mac"] = question.answer("user_data", nonce)
    return values


# Whole seeds


@pytest.mark.parametrize("withheld", get_args(Withheld))
def test_one_proof_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, withheld: Withheld) -> None:
    with hetzner_lab(tmp_path, monkeypatch, withholds=[withheld]) as lab:
        image = lab.seeder().seed(lab.request())

        assert image.rescue_proof == tuple(kind for kind in get_args(Withheld) if kind != withheld)
        assert_seeded(lab, image)


@pytest.mark.seconds
def test_the_password_that_counts_is_that_of_the_last_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner_lab(tmp_path, monkeypatch, withholds=["user_data"]) as lab:
        lab.fault("POST", r"/servers/\d+/actions/enable_rescue", Pretend())

        assert_seeded(lab, lab.seeder().seed(lab.request()))


def require_nothing_done(lab: Lab) -> None:
    """Nothing was fetched, so nothing was written; nothing is ready, nothing is paid for."""
    assert lab.objects.hits == 1, "looked at, never fetched"
    assert (lab.snapshots(), lab.leftovers()) == ([], [])
    asked = [(one.method, one.path) for one in lab.trace.requests()]
    assert not [path for _, path in asked if path.endswith("/create_image")]


def test_a_host_that_proves_nothing_is_written_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner_lab(tmp_path, monkeypatch, withholds=get_args(Withheld)) as lab:
        with pytest.raises(NotRescue, match=r"root has no password there.*metadata service does not tell"):
            lab.seeder().seed(lab.request())
        require_nothing_done(lab)


def test_a_host_that_lets_any_key_in_and_says_what_is_expected_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fake(Impostor):
        said = expected_words()

    with hetzner_lab(tmp_path, monkeypatch, rescues=Fake) as lab:
        with pytest.raises(NotRescue, match=r"does not prove.*another password.*another server's"):
            lab.seeder().seed(lab.request())
        require_nothing_done(lab)
        assert len(Fake.commands) == 2, "asked who it is, after each of two boots"


def test_what_a_host_is_asked_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake(Impostor):
        said = expected_words()

    known: list[str] = []

    def learn(exchange: Exchange) -> None:
        if exchange.path.endswith("/enable_rescue"):
            known.append(exchange.answer["root_password"])
        if (exchange.method, exchange.path) == ("POST", "/servers"):
            known.append(exchange.body["user_data"].split()[-1])

    with hetzner_lab(tmp_path, monkeypatch, rescues=Fake) as lab:
        lab.watchers.append(learn)
        with pytest.raises(NotRescue) as caught:
            lab.seeder().seed(lab.request())
        asked = " ".join(Fake.commands)
        assert len(known) == 3
        assert not [secret for secret in known if secret in asked + str(caught.value) + lab.trace.path.read_text()]


@pytest.mark.parametrize("swaps", [False, True])
def test_one_in_the_middle_that_passes_everything_on_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, swaps: bool
) -> None:
    class Middle(Relay):
        pass

    Middle.swaps = swaps
    with hetzner_lab(tmp_path, monkeypatch, rescues=Middle) as lab:
        why = r"another password.*another server's" if swaps else "does not have the SSH host key"
        with pytest.raises(NotRescue, match=why):
            lab.seeder().seed(lab.request())
        require_nothing_done(lab)
        assert Middle.passed_on == 2


def test_a_host_that_prints_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Flood(Impostor):
        said = expected_words() + "x" * (1 << 20)

    with hetzner_lab(tmp_path, monkeypatch, rescues=Flood) as lab:
        with pytest.raises(WriteFailed, match="more than 65536 bytes"):
            lab.seeder().seed(lab.request())
        require_nothing_done(lab)


def test_programs_of_the_rescue_system_are_given_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[str] = []

    def spy(exchange: Exchange) -> None:
        if exchange.path.endswith("/enable_rescue"):
            known.append(exchange.answer["root_password"])
            for name in ("sha256sum", "cut", "tr"):
                program = tmp_path / "hetzner" / "shims" / name
                program.write_text(f'#!/bin/bash\necho {name} "$@" >>/run/lab/run\nexec /usr/bin/{name} "$@"\n')
                program.chmod(0o755)
        if (exchange.method, exchange.path) == ("POST", "/servers"):
            known.append(exchange.body["user_data"].split()[-1])

    with hetzner_lab(tmp_path, monkeypatch) as lab:
        lab.watchers.append(spy)
        assert_seeded(lab, lab.seeder().seed(lab.request()))

        (run_log,) = (tmp_path / "hetzner").glob("control-*/run")
        (shadow,) = (tmp_path / "hetzner").glob("etc-*/shadow")
        arguments = run_log.read_text()
        known.append(shadow.read_text().split(":")[1])
        assert {"sha256sum", "cut", "tr"} <= set(arguments.split())
        assert [secret for secret in known if secret in arguments] == []


@pytest.mark.seconds
def test_another_number_of_bytes_than_the_disk_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        packed = lzma.compress(DISK[:-512], preset=0)
        lab.objects.served = packed

        with pytest.raises(WrongCount, match=f"{len(DISK) - 512} bytes, the record's disk has {len(DISK)}"):
            lab.seeder().seed(lab.request(make_record(packed=packed)))
        assert (lab.snapshots(), lab.leftovers()) == ([], [])


# Answers


@pytest.mark.parametrize(
    ("proven", "by"),
    [
        (report(shadow=HASH), "shadow"),
        (report(shadow=YESCRYPT, setting="$y$j9T$saltsaltsaltsalt"), "shadow"),
        (report(nonce=NONCE), "user_data"),
        (report(shadow="of another boot", nonce=NONCE), "user_data"),
    ],
    ids=["sha512crypt", "yescrypt", "nonce", "nonce, and a password that was set anew"],
)
def test_the_right_answer_to_this_question_is_a_proof(proven: dict[str, str], by: str) -> None:
    assert require_proof(proven, QUESTION, KNOWN) == (by,)


@pytest.mark.parametrize(
    "other",
    [
        Question("d" * 64, QUESTION.server_id, QUESTION.host_key),
        Question(QUESTION.challenge, 1002, QUESTION.host_key),
        Question(QUESTION.challenge, QUESTION.server_id, "AAAAC3NzaC1lZDI1NTE5AAAAIG90aGVy"),
    ],
    ids=["another challenge", "another server", "another host key"],
)
def test_the_right_answer_to_another_question_is_no_proof(other: Question) -> None:
    with pytest.raises(NotRescue):
        require_proof(report(other, shadow=HASH, nonce=NONCE), QUESTION, KNOWN)


def test_one_proof_does_not_stand_for_the_other() -> None:
    swapped = {"user_data_mac": QUESTION.answer("shadow", NONCE), "shadow_mac": QUESTION.answer("user_data", HASH)}

    with pytest.raises(NotRescue):
        require_proof({"host_key": "own", "shadow_setting": SETTING, **swapped}, QUESTION, KNOWN)


@pytest.mark.parametrize(
    ("setting", "guess"),
    [
        ("*", "*0"),
        ("*0", "*1"),
        ("", "any"),
        ("$3$", "$3$"),
        ("ab", "abJnggxhB/yWI"),
        ("$1$saltsalt", "any"),
        ("$6$rounds=999999999$saltsalt", "any"),
        ("$y$jFT$saltsaltsaltsalt", "any"),
        ("$6$salt\nsalt", "any"),
        ("$6$", "any"),
    ],
)
def test_a_setting_that_a_hash_may_not_depend_on_the_password_by_is_no_proof(setting: str, guess: str) -> None:
    assert hash_password(PASSWORD, setting) is None
    with pytest.raises(NotRescue, match="of a kind that this host does not compute"):
        require_proof(report(shadow=guess, setting=setting), QUESTION, KNOWN)


@pytest.mark.parametrize("password", ["", "short"])
def test_a_password_that_could_be_found_by_trying_is_no_proof(password: str) -> None:
    hashed = hash_password(password, SETTING)
    assert hashed is not None

    with pytest.raises(NotRescue, match="the API returned no password"):
        require_proof(report(shadow=hashed), QUESTION, Secrets(1001, NONCE, password))


def test_a_host_that_says_nothing_proves_nothing() -> None:
    with pytest.raises(NotRescue):
        require_proof({}, QUESTION, KNOWN)


def test_a_hash_is_what_other_programs_make_of_the_password() -> None:
    assert hash_password(PASSWORD, SETTING) == HASH
    assert hash_password(PASSWORD, "$y$j9T$saltsaltsaltsalt") == YESCRYPT


def test_an_answer_is_an_hmac_of_the_whole_question() -> None:
    message = f"hyops-rescue-proof-1\nshadow\n{'c' * 64}\n1001\nAAAAC3NzaC1lZDI1NTE5AAAAIGtleQ"

    key = hashlib.sha256(HASH.encode()).digest()
    assert QUESTION.answer("shadow", HASH) == hmac.new(key, message.encode(), "sha256").hexdigest()


def test_secrets_show_nowhere() -> None:
    login = Login("192.0.2.1", 22, asyncssh.generate_private_key("ssh-ed25519"), KNOWN)

    assert not any(secret in f"{login!r} {KNOWN!r} {KNOWN}" for secret in (PASSWORD, NONCE))


def test_user_data_is_nothing_to_an_own_system_that_boots_after_all() -> None:
    lines = user_data_with(NONCE).splitlines()

    assert lines[0] == "#cloud-config"
    assert all(line.startswith("#") for line in lines)
