"""What the files of a guest tell its cloud-init: /etc/cloud/cloud.cfg and what lies beside it, joined.

Later files win, in the order of their names, mapping by mapping (cloud-init's documentation, "Base configuration").
Nothing is made of a value here: every scalar stays the text that it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml
from pydantic import JsonValue

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.inspection.effective import EffectiveFiles

BASE = "/etc/cloud/cloud.cfg"
DIRECTORY = "/etc/cloud/cloud.cfg.d"

_MOST_BYTES = 128 << 10
_DEEPEST = 32


class BadCloudConfig(HyopsError):
    """A file that cloud-init cannot read as its configuration."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} is no configuration of cloud-init: {why}", hint="mend it at its source")


@dataclass(frozen=True)
class CloudConfig:
    """Every file of a configuration by its path, in the order of their reading."""

    files: Mapping[str, Mapping[str, JsonValue]]

    def at(self, *keys: str) -> JsonValue:
        """Return the value under nested keys, as the last file says it; None where none does."""
        for said in reversed(list(self.files.values())):
            found: JsonValue = dict(said)
            for key in keys:
                if not isinstance(found, dict):
                    # Something else than a mapping replaces all that earlier files say below it.
                    return None
                found = found.get(key)
                if found is None:
                    break
            else:
                return found
        return None


def read_cloud_config(guest: EffectiveFiles) -> CloudConfig:
    """Read the configuration of a guest.

    Raises:
        BadCloudConfig: a file is no mapping in YAML, or larger or deeper than anybody writes.
    """
    found = {path: guest.find(path) for path in _paths(guest)}
    return CloudConfig(
        {path: parse_cloud_config(path, content) for path, content in found.items() if content is not None}
    )


def parse_cloud_config(path: str, content: bytes) -> dict[str, JsonValue]:
    """Return what one file says; nothing where it is empty.

    Raises:
        BadCloudConfig: it is no mapping in YAML, or larger or deeper than anybody writes.
    """
    if len(content) > _MOST_BYTES:
        raise BadCloudConfig(path, f"it has {len(content)} bytes, more than {_MOST_BYTES}")
    try:
        _require_modest(path, content)
        found = yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506 - it makes texts, lists and mappings only
    except yaml.YAMLError as error:
        raise BadCloudConfig(path, " ".join(str(error).split())) from error
    except (RecursionError, UnicodeDecodeError) as error:
        why = "it nests too deeply" if isinstance(error, RecursionError) else "it is no UTF-8"
        raise BadCloudConfig(path, why) from error
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise BadCloudConfig(path, "it holds no mapping")
    return {str(key): value for key, value in found.items()}


def _require_modest(path: str, content: bytes) -> None:
    """Refuse what is nested so deep that reading it takes minutes."""
    depth = 0
    for event in yaml.parse(content, Loader=yaml.BaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise BadCloudConfig(path, f"it is nested more than {_DEEPEST} deep")


def values_named(found: JsonValue, names: frozenset[str]) -> Iterator[tuple[str, JsonValue]]:
    """Yield every value, however deep, that stands under one of these keys, with the key.

    What an alias repeats is counted once: a few lines of aliases can stand for more values than fit into memory.
    """
    pending: list[JsonValue] = [found]
    seen: set[int] = set()
    while pending:
        one = pending.pop()
        if id(one) in seen or not isinstance(one, dict | list):
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            yield from ((key, value) for key, value in one.items() if key in names)
        pending += one.values() if isinstance(one, dict) else one


def _paths(guest: EffectiveFiles) -> list[str]:
    beside = [path for path in guest.files_below(DIRECTORY) if path.endswith(".cfg") and path.count("/") == 4]
    return [BASE, *beside]
