"""YAML that people write by hand: read whole, within bounds, and never as anything but plain values."""

import stat
from pathlib import Path
from typing import Any

import yaml

from hyops_assets.contract.errors import HyopsError, said_by_system
from hyops_assets.contract.plain_documents import NotPlain, require_plain

MAX_BYTES = 1 << 20


class UnreadableYaml(HyopsError):
    """A file that is not there, not a file, too large, or no YAML."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a name that stands twice in one mapping instead of forgetting the first."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names: set[str] = set()
        for name, _ in node.value if node else ():
            if isinstance(name, yaml.ScalarNode):
                if name.value in names:
                    raise yaml.MarkedYAMLError(
                        problem=f"{name.value!r} stands there twice", problem_mark=name.start_mark
                    )
                names.add(name.value)
        return node


def read_yaml(path: Path) -> Any:
    """Return what a YAML file says: mappings, lists and scalars; None where it says nothing.

    Raises:
        UnreadableYaml: it cannot be opened, is no regular file, is larger than 1 MiB, is not YAML, or holds what
            `contract.plain_documents` refuses.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableYaml(f"{path} is no regular file", hint="put a YAML file there")
        if found.st_size > MAX_BYTES:
            raise UnreadableYaml(f"{path} is larger than {MAX_BYTES} bytes", hint="keep what is asked for only")
        content = yaml.load(path.read_text(), _Loader)  # noqa: S506 - the safe loader, and stricter
        require_plain(content)
        return content
    except NotPlain as error:
        raise UnreadableYaml(f"{path} cannot be read: {error.message}", hint=error.hint) from error
    # Besides its own errors, YAML's loader lets through what an impossible date (2026-13-45) or a thousand opened
    # brackets make of Python.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UnreadableYaml(f"{path} cannot be read: {_why(error)}", hint="mend the file; it is YAML") from error


def _why(error: Exception) -> str:
    """Return what is wrong and where; the loader's own text shows the lines of the file, which may hold a secret."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark) is not None:
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return said_by_system(error)
