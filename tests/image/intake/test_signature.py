import base64
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hyops_assets.contract.minisign_keys import MalformedKey, PublicKey, format_key_id
from hyops_assets.contract.version import ReleaseLine, iso_file_name
from hyops_assets.image.intake import signature, trust
from hyops_assets.image.intake.minisign import MalformedSignature, Signature, TrustedComment
from hyops_assets.image.intake.signature import verify
from hyops_assets.image.programs import run
from hyops_assets.settings.signing_keys import (
    DISTRUSTED,
    KNOWN_KEYS,
    RELEASE_KEY,
    ROLLING_KEY,
    TRUSTED_BY_DEFAULT,
    DistrustedKey,
    SigningKey,
)
from hyops_lab.signing import LabKey

NAME = "vyos-2026.03.03-0027-rolling-generic-amd64.iso"
SIGNED_AT = datetime(2026, 3, 3, 2, 10, tzinfo=UTC)
CONTENT = b"an ISO, as far as a signature knows" * 1000


@pytest.fixture
def iso(tmp_path: Path) -> Path:
    path = tmp_path / "stored-under-its-digest"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(scope="module")
def key() -> LabKey:
    return LabKey.generate()


@pytest.fixture
def minisig(iso: Path, key: LabKey) -> str:
    return key.sign_file(iso, NAME, SIGNED_AT)


class Minisign:
    """The real program, with a key of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        run(["minisign", "-G", "-W", "-p", directory / "key.pub", "-s", directory / "key"], cwd=directory)
        self.public_key = (directory / "key.pub").read_text().splitlines()[1]

    def sign(self, iso: Path, *options: str) -> str:
        text = self._directory / "x.minisig"
        run(["minisign", "-S", *options, "-s", self._directory / "key", "-m", iso, "-x", text])
        return text.read_text()


@pytest.fixture(scope="module")
def minisign(tmp_path_factory: pytest.TempPathFactory) -> Minisign:
    return Minisign(tmp_path_factory.mktemp("minisign"))


def _trusting(public_key: str, *, valid_from: date | None = None, valid_until: date | None = None) -> list[SigningKey]:
    return [
        ROLLING_KEY,
        SigningKey(name="test", public_key=public_key, valid_from=valid_from, valid_until=valid_until),
    ]


@pytest.mark.parametrize(("option", "algorithm"), [("-H", "prehashed"), ("-l", "legacy")])
def test_what_minisign_signed_is_verified(iso: Path, minisign: Minisign, option: str, algorithm: str) -> None:
    facts = verify(iso, minisign.sign(iso, option), _trusting(minisign.public_key), file_name=iso.name)
    assert facts.algorithm == algorithm
    assert facts.key_name == "test"
    assert facts.file_name == iso.name
    assert abs(facts.signed_at - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_minisign_verifies_what_the_lab_signed(tmp_path: Path, key: LabKey, content: bytes) -> None:
    iso = tmp_path / NAME
    iso.write_bytes(content)
    (tmp_path / f"{NAME}.minisig").write_text(key.sign_file(iso, NAME, SIGNED_AT))
    said = run(["minisign", "-V", "-P", key.public_key, "-m", iso]).text
    assert "Signature and comment signature verified" in said
    assert f"timestamp:{int(SIGNED_AT.timestamp())}\tfile:{NAME}\thashed" in said


def test_an_empty_file_with_a_legacy_signature_is_verified(tmp_path: Path, minisign: Minisign) -> None:
    iso = tmp_path / "empty"
    iso.touch()
    assert verify(iso, minisign.sign(iso, "-l"), _trusting(minisign.public_key), file_name="empty")


def test_the_facts_are_whole_enough_to_verify_again(iso: Path, key: LabKey, minisig: str) -> None:
    facts = verify(iso, minisig, [key.trusted_as("lab-key")], file_name=NAME, released_at=SIGNED_AT)
    assert facts.lab
    assert facts.public_key == key.public_key
    assert facts.key_id == format_key_id(PublicKey.parse(key.public_key).key_id)
    assert facts.signed_at == SIGNED_AT
    again = SigningKey(name=facts.key_name, public_key=facts.public_key, lab=facts.lab)
    assert verify(iso, facts.minisig, [again], file_name=facts.file_name) == facts


def test_a_key_that_is_no_lab_key_marks_nothing_as_lab(iso: Path, key: LabKey, minisig: str) -> None:
    assert not verify(iso, minisig, _trusting(key.public_key), file_name=NAME).lab


def test_a_signature_file_is_read_from_disk(iso: Path, key: LabKey, minisig: str) -> None:
    path = iso.with_name(f"{NAME}.minisig")
    path.write_text(minisig)
    assert verify(iso, path, [key.trusted_as("k")], file_name=NAME).minisig == minisig


def test_an_iso_without_a_signature_file_is_refused(iso: Path, key: LabKey) -> None:
    with pytest.raises(signature.MissingSignature, match="unsigned"):
        verify(iso, iso.with_name("none.minisig"), [key.trusted_as("k")], file_name=NAME)


@pytest.mark.parametrize("content", [b"\xff" * 10, b"a" * (17 << 10)])
def test_a_signature_file_that_is_no_text_or_endless_is_refused(iso: Path, key: LabKey, content: bytes) -> None:
    path = iso.with_name("bad.minisig")
    path.write_bytes(content)
    with pytest.raises(MalformedSignature, match=r"bad\.minisig"):
        verify(iso, path, [key.trusted_as("k")], file_name=NAME)


@pytest.mark.parametrize("option", ["-H", "-l"])
@pytest.mark.parametrize("at", [0, len(CONTENT) // 2, len(CONTENT) - 1])
def test_a_tampered_iso_is_refused(iso: Path, minisign: Minisign, option: str, at: int) -> None:
    minisig = minisign.sign(iso, option)
    content = bytearray(CONTENT)
    content[at] ^= 1
    iso.write_bytes(content)
    with pytest.raises(signature.BadSignature, match="damaged or tampered"):
        verify(iso, minisig, _trusting(minisign.public_key), file_name=iso.name)


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"\0"], ids=["shorter", "longer"])
def test_an_iso_of_another_length_is_refused(
    iso: Path, key: LabKey, minisig: str, change: Callable[[bytes], bytes]
) -> None:
    iso.write_bytes(change(CONTENT))
    with pytest.raises(signature.BadSignature):
        verify(iso, minisig, [key.trusted_as("k")], file_name=NAME)


@pytest.mark.parametrize(("old", "new"), [("0027", "0028"), ("timestamp:1", "timestamp:2"), ("\thashed", "")])
def test_a_changed_comment_is_refused(iso: Path, key: LabKey, minisig: str, old: str, new: str) -> None:
    assert old in minisig
    with pytest.raises(signature.BadSignature, match="comment"):
        verify(iso, minisig.replace(old, new), [key.trusted_as("k")], file_name=NAME)


def test_a_comment_from_another_signature_of_the_same_key_is_refused(iso: Path, key: LabKey, minisig: str) -> None:
    other = iso.with_name("other")
    other.write_bytes(b"other")
    lines, other_lines = minisig.splitlines(), key.sign_file(other, NAME, SIGNED_AT).splitlines()
    mixed = "\n".join([*lines[:2], *other_lines[2:]])
    with pytest.raises(signature.BadSignature, match="comment"):
        verify(iso, mixed, [key.trusted_as("k")], file_name=NAME)


def test_a_prehashed_signature_relabelled_as_legacy_is_refused(iso: Path, key: LabKey, minisig: str) -> None:
    lines = minisig.splitlines()
    lines[1] = base64.b64encode(b"Ed" + base64.b64decode(lines[1])[2:]).decode()
    with pytest.raises(signature.BadSignature, match="damaged or tampered"):
        verify(iso, "\n".join(lines), [key.trusted_as("k")], file_name=NAME)


def test_an_untrusted_key_is_refused_and_the_trusted_ones_are_named(iso: Path, minisig: str) -> None:
    with pytest.raises(trust.UnknownKey, match=r"0D3643767F448688 \(vyos-rolling\)"):
        verify(iso, minisig, [ROLLING_KEY], file_name=NAME)


def test_without_trusted_keys_everything_is_refused(iso: Path, minisig: str) -> None:
    with pytest.raises(trust.UnknownKey, match="trusted: none"):
        verify(iso, minisig, [], file_name=NAME)


def test_a_forger_who_borrows_the_id_of_a_trusted_key_is_refused(iso: Path, key: LabKey) -> None:
    forger = LabKey(key.key_id, LabKey.generate()._private)
    with pytest.raises(signature.BadSignature):
        verify(iso, forger.sign_file(iso, NAME, SIGNED_AT), [key.trusted_as("k")], file_name=NAME)


def test_two_trusted_keys_of_one_id_are_refused(iso: Path, key: LabKey, minisig: str) -> None:
    with pytest.raises(trust.AmbiguousKeys, match="one and two"):
        verify(iso, minisig, [key.trusted_as("one"), key.trusted_as("two")], file_name=NAME)


DAY = SIGNED_AT.date()


@pytest.mark.parametrize(
    ("valid_from", "valid_until"),
    [(DAY + timedelta(days=1), None), (None, DAY - timedelta(days=1))],
    ids=["too early", "too late"],
)
def test_a_signature_outside_the_keys_window_is_refused(
    iso: Path, key: LabKey, minisig: str, valid_from: date | None, valid_until: date | None
) -> None:
    trusted = _trusting(key.public_key, valid_from=valid_from, valid_until=valid_until)
    with pytest.raises(trust.ExpiredKey, match="2026-03-03"):
        verify(iso, minisig, trusted, file_name=NAME)


def test_a_window_holds_on_its_first_and_on_its_last_day(iso: Path, key: LabKey, minisig: str) -> None:
    trusted = _trusting(key.public_key, valid_from=DAY, valid_until=DAY)
    assert verify(iso, minisig, trusted, file_name=NAME)


def test_a_renamed_older_iso_is_refused(iso: Path, key: LabKey) -> None:
    older = key.sign_file(iso, NAME.replace("03.03", "02.28"), SIGNED_AT)
    with pytest.raises(trust.WrongFile, match=r"02\.28"):
        verify(iso, older, [key.trusted_as("k")], file_name=NAME)


OLDER = "vyos-1.5-rolling-202403150017-amd64.iso"
OLDER_AT = datetime(2024, 3, 15, 2, 0, tzinfo=UTC)
RETIRED = {"line": "rolling", "valid_from": date(2024, 2, 22), "valid_until": date(2024, 4, 2)}


def test_an_iso_of_2024_is_verified_by_the_key_of_its_time(iso: Path, key: LabKey) -> None:
    minisig = key.sign_file(iso, OLDER, OLDER_AT)
    retired = SigningKey.model_validate({"name": "retired", "public_key": key.public_key, **RETIRED})
    for asked in (OLDER, iso_file_name("1.5-rolling-202403150017")):
        assert verify(iso, minisig, [retired], file_name=asked).file_name == OLDER


@pytest.mark.parametrize(
    ("name", "signed_at", "refusal"),
    [
        pytest.param(NAME, SIGNED_AT, trust.ExpiredKey, id="an ISO of today, dated as it is"),
        pytest.param(NAME, OLDER_AT, trust.StaleSignature, id="an ISO of today, dated back into the window"),
        pytest.param("vyos-2026.03-generic-amd64.iso", OLDER_AT, trust.WrongLine, id="a Stream release, dated back"),
        pytest.param(
            "vyos-1.5-rolling-202410180006-generic-amd64.iso", OLDER_AT, trust.StaleSignature, id="of autumn"
        ),
        pytest.param("anything.iso", OLDER_AT, trust.WrongLine, id="a file that is no release"),
    ],
)
def test_a_retired_key_cannot_sign_another_release(
    name: str, signed_at: datetime, refusal: type[Exception], iso: Path, key: LabKey
) -> None:
    retired = SigningKey.model_validate({"name": "retired", "public_key": key.public_key, **RETIRED})
    with pytest.raises(refusal):
        verify(iso, key.sign_file(iso, name, signed_at), [retired], file_name=name)


@pytest.mark.parametrize("known", DISTRUSTED, ids=lambda known: known.key.name)
def test_a_distrusted_key_of_vyos_is_named_with_the_reason(known: DistrustedKey, iso: Path) -> None:
    key_id = PublicKey.parse(known.key.public_key).key_id
    forged = Signature("prehashed", key_id, bytes(64), f"timestamp:1700000000\tfile:{NAME}", bytes(64)).text("x")
    with pytest.raises(trust.UnknownKey) as refused:
        verify(iso, forged, TRUSTED_BY_DEFAULT, file_name=NAME)
    assert known.key.name in refused.value.message
    assert known.why in refused.value.message
    assert f"add {known.key.name} to feed.keys" in refused.value.hint
    with pytest.raises(signature.BadSignature):
        verify(iso, forged, [known.key], file_name=NAME)


@pytest.mark.parametrize(
    ("name", "key_id"),
    [
        ("vyos-rolling", "0D3643767F448688"),
        ("vyos-release", "9EA8ECDCBDDCD6D1"),
        ("vyos-release-backup", "69C20BE1367AEBB0"),
        ("vyos-rolling-2024-02", "7921A9C8E4AE0F98"),
        ("vyos-rolling-2023-leaked", "21AF69D8B86794DC"),
        ("vyos-rolling-2023-08-11", "8A5A5BB2CB00584E"),
    ],
)
def test_every_known_key_has_the_id_that_minisign_prints(name: str, key_id: str) -> None:
    assert format_key_id(PublicKey.parse(KNOWN_KEYS[name].public_key).key_id) == key_id


def test_a_key_of_vyos_written_out_without_a_line_still_signs_its_line_only(
    iso: Path, key: LabKey, minisig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VyOS' private keys are VyOS': a key of ours stands in the table in one's place."""
    ours = RELEASE_KEY.model_copy(update={"public_key": key.public_key})
    monkeypatch.setattr(trust, "KNOWN_KEYS", {ours.name: ours})
    with pytest.raises(trust.WrongLine, match="signs stream releases"):
        verify(iso, minisig, [SigningKey(name="written out", public_key=key.public_key)], file_name=NAME)


@pytest.mark.parametrize("option", ["-H", "-l"])
@pytest.mark.parametrize(("line", "release"), [("rolling", "2026.03.03-0027-rolling"), ("stream", "2025.11")])
def test_minisigns_own_signature_of_a_release_is_held_to_line_name_and_time(
    option: str, line: ReleaseLine, release: str, iso: Path, minisign: Minisign
) -> None:
    name = iso_file_name(release)
    text = minisign.sign(iso, option, "-t", f"timestamp:{int(SIGNED_AT.timestamp())}\tfile:{name}")
    own = SigningKey(name="own", public_key=minisign.public_key, line=line)
    assert verify(iso, text, [own], file_name=name).signed_at == SIGNED_AT
    other = own.model_copy(update={"line": "stream" if line == "rolling" else "rolling"})
    with pytest.raises(trust.WrongLine):
        verify(iso, text, [other], file_name=name)


def test_minisign_verifies_a_legacy_signature_of_ours_and_so_do_we(tmp_path: Path) -> None:
    iso = tmp_path / NAME
    iso.write_bytes(CONTENT)
    private = Ed25519PrivateKey.generate()
    public = str(PublicKey(b"12345678", private.public_key().public_bytes_raw()))
    unsigned = Signature(
        "legacy", b"12345678", private.sign(CONTENT), f"timestamp:{int(SIGNED_AT.timestamp())}\tfile:{NAME}", b""
    )
    text = replace(unsigned, global_ed25519=private.sign(unsigned.global_message)).text("x")
    (tmp_path / f"{NAME}.minisig").write_text(text)
    assert "verified" in run(["minisign", "-V", "-P", public, "-m", iso]).text
    assert verify(iso, text, _trusting(public), file_name=NAME).algorithm == "legacy"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_we_take_minisign_takes_too(iso: Path, key: LabKey, minisig: str, data: st.DataObject) -> None:
    """Edits of a signature file, some of which no signature covers: we may be stricter, never laxer."""
    lines = minisig.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    where = data.draw(st.integers(0, len(lines[at])))
    lines[at] = lines[at][:where] + data.draw(st.sampled_from(["", "x", "=", "\r", "\n"])) + lines[at][where:]
    text = "".join(lines)
    try:
        verify(iso, text, [key.trusted_as("k")], file_name=NAME)
    except (trust.SignatureRefused, MalformedSignature):
        return
    path = iso.with_name("edited.minisig")
    path.write_bytes(text.encode())
    run(["minisign", "-V", "-P", key.public_key, "-m", iso, "-x", path])


@pytest.mark.parametrize("hours", [-49, 49])
def test_a_signature_from_another_time_than_the_release_is_refused(
    iso: Path, key: LabKey, minisig: str, hours: int
) -> None:
    with pytest.raises(trust.StaleSignature, match="48 hours"):
        verify(
            iso,
            minisig,
            [key.trusted_as("k")],
            file_name=NAME,
            released_at=SIGNED_AT + timedelta(hours=hours),
        )


@pytest.mark.parametrize("hours", [-48, 0, 48])
def test_a_signature_within_two_days_of_the_release_is_taken(iso: Path, key: LabKey, minisig: str, hours: int) -> None:
    assert verify(iso, minisig, [key.trusted_as("k")], file_name=NAME, released_at=SIGNED_AT + timedelta(hours=hours))


@pytest.mark.parametrize(
    "comment",
    [
        "a comment of one's own",
        f"timestamp:1772503800\tfile:{NAME}\tfile:other",
        f"timestamp:1\ttimestamp:2\tfile:{NAME}",
        f"timestamp:tomorrow\tfile:{NAME}",
        f"timestamp:-5\tfile:{NAME}",
        f"timestamp:999999999999\tfile:{NAME}",
        f"timestamp:١٢\tfile:{NAME}",
        f"file:{NAME}",
        "timestamp:1772503800",
    ],
)
def test_a_signed_comment_that_names_no_file_or_time_is_refused(iso: Path, minisign: Minisign, comment: str) -> None:
    text = minisign.sign(iso, "-t", comment)
    with pytest.raises(MalformedSignature, match="trusted comment"):
        verify(iso, text, _trusting(minisign.public_key), file_name=NAME)


def test_a_large_iso_with_a_legacy_signature_is_refused_before_it_is_read(iso: Path, minisign: Minisign) -> None:
    minisig = minisign.sign(iso, "-l")
    with iso.open("r+b") as file:
        file.truncate(signature.MAX_LEGACY_BYTES + 1)
    with pytest.raises(signature.TooLargeForLegacy, match=str(signature.MAX_LEGACY_BYTES)):
        verify(iso, minisig, _trusting(minisign.public_key), file_name=iso.name)


def test_progress_counts_the_iso_up_to_its_end(iso: Path, key: LabKey, minisig: str) -> None:
    seen: list[tuple[str, int, int | None]] = []
    verify(iso, minisig, [key.trusted_as("k")], file_name=NAME, progress=lambda *step: seen.append(step))
    assert seen[-1] == ("verify the signature", len(CONTENT), len(CONTENT))


def test_every_refusal_says_what_to_do_next(iso: Path, minisig: str) -> None:
    with pytest.raises(trust.SignatureRefused) as refused:
        verify(iso, minisig, [], file_name=NAME)
    assert refused.value.hint in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "RW", "R" * 56, ROLLING_KEY.public_key[:-1] + "=", "é" * 56, "QUFB" * 14, "R" * 5000]
)
def test_a_trusted_key_that_is_no_key_is_no_setting(text: str) -> None:
    with pytest.raises(ValidationError, match="public_key"):
        SigningKey(name="broken", public_key=text)


def _edits(minisig: str) -> dict[str, str]:
    lines = minisig.splitlines()
    return {
        "empty": "",
        "three lines": "\n".join(lines[:3]),
        "a fifth line": minisig + "more\n",
        "blank line behind": minisig + "\n",
        "no untrusted comment": "\n".join(["comment: x", *lines[1:]]),
        "no trusted comment": "\n".join([*lines[:2], "comment: x", lines[3]]),
        "spaces in base64": "\n".join([lines[0], f" {lines[1]}", *lines[2:]]),
        "short signature": "\n".join([lines[0], base64.b64encode(b"ED" * 20).decode(), *lines[2:]]),
        "unknown algorithm": "\n".join(
            [lines[0], base64.b64encode(b"EX" + base64.b64decode(lines[1])[2:]).decode(), *lines[2:]]
        ),
        "another line break": minisig.replace("\n", "\x0b"),
        "control character": minisig.replace("\thashed", "\x1b[2Jhashed"),
        "lone surrogate": minisig.replace("comment: s", "comment: \ud800"),
        "endless": minisig.replace("untrusted comment: ", "untrusted comment: " + "x" * (17 << 10)),
    }


@pytest.mark.parametrize("name", _edits("\n\n\n\n"))
def test_a_signature_file_that_minisign_does_not_write_is_refused(
    iso: Path, key: LabKey, minisig: str, name: str
) -> None:
    with pytest.raises(MalformedSignature, match="no minisign signature file"):
        verify(iso, _edits(minisig)[name], [key.trusted_as("k")], file_name=NAME)


def test_a_base64_text_with_stray_bits_is_refused(minisig: str) -> None:
    lines = minisig.splitlines()
    assert lines[3].endswith("==")
    flipped = lines[3][:-3] + ("B" if lines[3][-3] != "B" else "C") + "=="
    with pytest.raises(MalformedSignature):
        Signature.parse("\n".join([*lines[:3], flipped]))


def test_carriage_returns_of_a_file_from_windows_are_borne(iso: Path, key: LabKey, minisig: str) -> None:
    assert verify(iso, minisig.replace("\n", "\r\n"), [key.trusted_as("k")], file_name=NAME)


def test_what_was_parsed_can_be_written_again(minisig: str) -> None:
    comment = minisig.splitlines()[0].removeprefix("untrusted comment: ")
    assert Signature.parse(minisig).text(comment) == minisig


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_edit_of_a_signature_file_passes_or_breaks_the_parser(
    iso: Path, key: LabKey, minisig: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(minisig)))
    cut = data.draw(st.integers(0, 5))
    text = minisig[:at] + data.draw(st.text(max_size=5)) + minisig[at + cut :]
    try:
        facts = verify(iso, text, [key.trusted_as("k")], file_name=NAME)
    except (trust.SignatureRefused, MalformedSignature):
        return
    # Only what no signature covers may have been changed: the untrusted comment, or white space at a line's end.
    assert facts.trusted_comment == Signature.parse(minisig).trusted_comment
    assert text.split("\n")[1].strip() == minisig.split("\n")[1]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(st.text(max_size=100), min_size=4, max_size=4).map("\n".join)))
def test_any_text_is_either_a_signature_or_a_typed_refusal(text: str) -> None:
    with pytest.raises(MalformedSignature):
        Signature.parse(text)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_is_either_a_key_or_a_typed_refusal(text: str) -> None:
    with pytest.raises(MalformedKey):
        PublicKey.parse(text)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=400))
def test_any_bytes_in_a_signature_file_are_a_typed_refusal(content: bytes, iso: Path, key: LabKey) -> None:
    path = iso.with_name("any.minisig")
    path.write_bytes(content)
    with pytest.raises(MalformedSignature):
        verify(iso, path, [key.trusted_as("k")], file_name=NAME)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(st.text(), max_size=4).map(lambda words: "timestamp:" + "\t".join(words))))
def test_any_comment_tells_file_and_time_or_is_a_typed_refusal(text: str) -> None:
    with suppress(MalformedSignature):
        assert TrustedComment.parse(text).signed_at.tzinfo is UTC


@settings(max_examples=200, deadline=None)
@given(content=st.binary(min_size=32, max_size=32), signed=st.binary(min_size=64, max_size=64))
def test_any_32_bytes_as_a_trusted_key_are_a_typed_refusal(content: bytes, signed: bytes) -> None:
    text = Signature("prehashed", b"12345678", signed, f"timestamp:1\tfile:{NAME}", signed).text("x")
    key = SigningKey(name="any", public_key=str(PublicKey(b"12345678", content)))
    with pytest.raises(trust.SignatureRefused):
        verify(Path(__file__), text, [key], file_name=NAME)


@pytest.mark.parametrize("place", ["nothing there", "a directory", "a fifo", "an endless device"])
def test_what_is_no_regular_file_is_refused_before_it_is_read(place: str, tmp_path: Path, key: LabKey) -> None:
    path = Path("/dev/zero") if place == "an endless device" else tmp_path / "x.iso"
    if place == "a directory":
        path.mkdir()
    elif place == "a fifo":
        os.mkfifo(path)
    with pytest.raises(signature.MissingIso, match=path.name):
        verify(path, "", [key.trusted_as("k")], file_name=NAME)


def test_a_signature_that_is_a_directory_is_refused(iso: Path, tmp_path: Path) -> None:
    with pytest.raises(signature.MissingSignature, match="cannot be read: Is a directory"):
        verify(iso, tmp_path, [], file_name=NAME)


class Cancelled(Exception):
    """What a caller raises to cancel."""


@pytest.mark.parametrize("option", ["-H", "-l"])
def test_verifying_can_be_cancelled(option: str, iso: Path, minisign: Minisign) -> None:
    def cancel(_stage: str, _done: int, _total: int | None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        verify(iso, minisign.sign(iso, option), _trusting(minisign.public_key), file_name=iso.name, progress=cancel)
