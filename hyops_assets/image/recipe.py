"""The recipe of a disk: everything that decides its bytes, but for what apt chose.

Kept in the evidence, so that anyone with the ISO can build the disk again (`hyops reproduce`).
"""

from collections.abc import Mapping
from typing import Self

from pydantic import Field

from hyops_assets.contract.canonical import Frozen, Sha256, digest_of
from hyops_assets.settings.build import BuildMethodName, BuildSettings

_DECIDING = {"disk_bytes", "console", "console_speed", "menu_timeout_seconds", "method"}
_FOLLOWED = ("helper_sha256", "builder", "lock_sha256", "packages")


def _short(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)[:12]


class Recipe(Frozen):
    """What a build starts from. The same recipe and the same package lock give the same disk.

    `builder` is the version of the builder's own code, `method_inputs` are what a method other than `native` follows,
    by digest. `lock_sha256` is the digest of the package lock that was given; None where apt solved the packages.
    """

    iso_sha256: Sha256
    helper_sha256: Sha256
    builder: str
    method: BuildMethodName
    disk_bytes: int
    console: str
    console_speed: int
    menu_timeout_seconds: int
    packages: list[str]
    method_inputs: dict[str, str] = Field(default_factory=dict)
    lock_sha256: Sha256 | None = None

    @classmethod
    def of(
        cls,
        build: BuildSettings,
        *,
        iso_sha256: str,
        helper_sha256: str,
        builder: str,
        method_inputs: Mapping[str, str],
        lock_sha256: str | None,
    ) -> Self:
        """Return the recipe that these settings are, for one ISO and one helper."""
        # Not every setting decides bytes: where packages come from and how long a boot may take do not.
        return cls(
            **build.model_dump(include=_DECIDING),
            iso_sha256=iso_sha256,
            helper_sha256=helper_sha256,
            builder=builder,
            packages=sorted(build.packages),
            method_inputs=dict(method_inputs),
            lock_sha256=lock_sha256,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: a later run of the same recipe adopts the disk."""
        return digest_of(self)

    def differs_from(self, former: Mapping[str, object]) -> str:
        """Return in words what of helper, builder, lock and packages differs from a recipe in evidence, else nothing.

        Only these make a rebuild worthwhile without being asked; a person decides on disk size or console.
        """
        now = self.model_dump(mode="json")
        return ", ".join(
            f"{name} {_short(former.get(name))} became {_short(now[name])}"
            for name in _FOLLOWED
            if former.get(name) != now[name]
        )

    def settings(self, ours: BuildSettings) -> BuildSettings:
        """Return our settings with everything that this recipe decides: how to build its disk here.

        Of ours stay the record's key, the apt sources and the settings of methods.
        """
        deciding = self.model_dump(include=_DECIDING) | {"packages": self.packages}
        return BuildSettings.model_validate(ours.model_dump() | deciding)
