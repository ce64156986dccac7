import pytest
from pydantic import ValidationError

from hyops_assets.contract.minisign_keys import PublicKey
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.signing_keys import (
    DISTRUSTED,
    KNOWN_KEYS,
    RELEASE_KEY,
    RETIRED_ROLLING_KEY,
    ROLLING_KEY,
    TRUSTED_BY_DEFAULT,
)


def test_by_default_the_keys_in_use_and_the_retired_sound_one_are_trusted() -> None:
    assert FeedSettings().keys == [ROLLING_KEY, RELEASE_KEY, RETIRED_ROLLING_KEY]


def test_no_distrusted_key_is_trusted_by_default() -> None:
    assert not {known.key.public_key for known in DISTRUSTED} & {key.public_key for key in TRUSTED_BY_DEFAULT}
    assert all(known.why for known in DISTRUSTED)


def test_every_key_of_vyos_signs_one_line_and_every_retired_one_has_a_window() -> None:
    assert all(key.line for key in KNOWN_KEYS.values())
    rolling = [key for key in KNOWN_KEYS.values() if key.line == "rolling"]
    assert [key.name for key in rolling if key.valid_until is None] == ["vyos-rolling"]
    assert all(key.valid_from for key in rolling)


def test_a_key_of_vyos_may_be_trusted_by_its_name() -> None:
    feed = FeedSettings.model_validate({"keys": ["vyos-release", "vyos-rolling-2023-leaked"]})
    assert feed.keys == [RELEASE_KEY, KNOWN_KEYS["vyos-rolling-2023-leaked"]]


def test_a_name_that_no_key_of_vyos_has_is_refused_and_the_names_are_said() -> None:
    with pytest.raises(ValidationError, match="vyos-rolling-2024-02"):
        FeedSettings.model_validate({"keys": ["vyos-nightly"]})


def test_keys_may_be_written_out_beside_names() -> None:
    own = {"name": "own", "public_key": str(PublicKey(b"own-key.", bytes(32)))}
    assert [key.name for key in FeedSettings.model_validate({"keys": [own, "vyos-rolling"]}).keys] == [
        "own",
        "vyos-rolling",
    ]
