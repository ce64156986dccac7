"""Who may sign an ISO: minisign public keys, what each may sign, and from when to when.

Lives here: VyOS' own keys, pinned. They are never fetched: who can replace an ISO where VyOS publishes it can
replace a key beside it. Sources: vyos.net (release), docs.vyos.io "Verify the image's authenticity" (rolling), and
the history of the file `minisign.pub` in vyos/vyos-nightly-build (the retired ones, with their days).

Which of them are trusted without being asked for, and why the others are not: docs/decisions/0012.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Self

from pydantic import Field, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.minisign_keys import MinisignKey
from hyops_assets.contract.names import Line
from hyops_assets.contract.version import ReleaseLine


class SigningKey(Frozen):
    """A minisign public key we trust, for what, and when."""

    name: Line = Field(description="what evidence and errors call it")
    public_key: MinisignKey = Field(description="the base64 line of its public key file")
    line: ReleaseLine | None = Field(
        default=None, description="the only line of releases it may sign; empty: any file, for a key that is not VyOS'"
    )
    valid_from: date | None = Field(default=None, description="first day, in UTC, on which it may have signed")
    valid_until: date | None = Field(default=None, description="last such day")
    lab: bool = Field(default=False, description="accepted by a lab only")

    @model_validator(mode="after")
    def _first_day_comes_first(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_from > self.valid_until:
            raise ValueError(f"valid_from {self.valid_from} is after valid_until {self.valid_until}: it signs nothing")
        return self


ROLLING_KEY = SigningKey(
    name="vyos-rolling",
    public_key="RWSIhkR/dkM2DSaBRniv/bbbAf8hmDqdbOEmgXkf1RxRoxzodgKcDyGq",
    line="rolling",
    valid_from=date(2024, 4, 2),
)
"""Signs the rolling releases since 2 April 2024. Its id is 0D3643767F448688."""

RELEASE_KEY = SigningKey(
    name="vyos-release", public_key="RWTR1ty93Oyontk6caB9WqmiQC4fgeyd/ejgRxCRGd2MQej7nqebHneP", line="stream"
)
"""Signs Stream and the releases (`vyos-release.minisign.pub` in every ISO). Its id is 9EA8ECDCBDDCD6D1."""

RETIRED_ROLLING_KEY = SigningKey(
    name="vyos-rolling-2024-02",
    public_key="RWSYD67kyKkhed0+Kyu3YFVYFMmbDJGgTSIZgoPUsNNlwXvFFj7PjqEc",
    line="rolling",
    valid_from=date(2024, 2, 22),
    valid_until=date(2024, 4, 2),
)
"""Signed the rolling releases between the leak of its forerunner and today's key. Its id is 7921A9C8E4AE0F98."""

TRUSTED_BY_DEFAULT = (ROLLING_KEY, RELEASE_KEY, RETIRED_ROLLING_KEY)


@dataclass(frozen=True)
class DistrustedKey:
    """A key that VyOS has published, and why its signature is worth nothing here unless someone insists."""

    key: SigningKey
    why: str


DISTRUSTED = (
    DistrustedKey(
        SigningKey(
            name="vyos-release-backup",
            public_key="RWSw63o24QvCadaeW21Vqv6+/uzXUsNOpLlRoLRQd2NJgdOm1k1zdAb3",
            line="stream",
        ),
        "it is kept in reserve and has signed nothing; its first use means that something happened to the other one",
    ),
    DistrustedKey(
        SigningKey(
            name="vyos-rolling-2023-leaked",
            public_key="RWTclGe42GmvIX/xnNiXdigNll7NSfpYGl1rj+sEERcLgoEsse5EwAgA",
            line="rolling",
            valid_from=date(2023, 8, 11),
            valid_until=date(2024, 2, 22),
        ),
        "its private key lay in a public repository from 2023-12-23 to 2024-02-22, and who has it signs any date",
    ),
    DistrustedKey(
        SigningKey(
            name="vyos-rolling-2023-08-11",
            public_key="RWROWADLsltaihFzgkFaTAHe7NgkTiiEbdLm6oeX+fCDrsylq1mCQKtm",
            line="rolling",
            valid_from=date(2023, 8, 11),
            valid_until=date(2023, 8, 11),
        ),
        "it was replaced after twenty minutes",
    ),
)
"""Keys 69C20BE1367AEBB0, 21AF69D8B86794DC and 8A5A5BB2CB00584E."""

KNOWN_KEYS: Mapping[str, SigningKey] = MappingProxyType(
    {key.name: key for key in (*TRUSTED_BY_DEFAULT, *(known.key for known in DISTRUSTED))}
)
"""Every key of VyOS by name: what `feed.keys` may name instead of writing it out."""


def named_key(value: Any) -> Any:
    """Return the known key of a name; leave anything else as it is, to be validated.

    Raises:
        ValueError: no key of VyOS has this name.
    """
    if not isinstance(value, str):
        return value
    if value not in KNOWN_KEYS:
        message = f"no key of VyOS is called {value!r} (known: {', '.join(KNOWN_KEYS)})"
        raise ValueError(message)
    return KNOWN_KEYS[value]
