"""Reading and writing `pipeline.yml`. The models stand in `hyops_assets/contract/settings.py`."""

import os
import tempfile
from pathlib import Path

import yaml
from pydantic import ValidationError

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.settings import Settings, SettingsError

MAX_BYTES = 1 << 20


def load_settings(root: RuntimeRoot) -> Settings:
    """Return the settings of an environment; the defaults where it has no `pipeline.yml`.

    Raises:
        SettingsError: the file is unreadable, too large, no YAML mapping, or does not validate; every wrong key is
            named.
    """
    path = root.settings_file
    if not path.exists():
        return Settings()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"{path} is larger than {MAX_BYTES} bytes", hint="restore it; hyops init writes one")
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", hint="mend the file; it is YAML") from error
    if content is None:
        return Settings()
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'the file'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise SettingsError(f"{path}: {wrong}", hint="mend these keys; hyops doctor reads the file again") from error


def save_settings(root: RuntimeRoot, settings: Settings, *, heading: str) -> Path:
    """Write `pipeline.yml` atomically, readable by its owner only, under a comment that says who wrote it."""
    path = root.settings_file
    make_private(path.parent, below=root.path)
    content = settings.model_dump(mode="json", exclude_defaults=True)
    text = f"# {heading}\n" + yaml.safe_dump(content, sort_keys=False, default_flow_style=False)
    write_private(path, text.encode())
    return path


def make_private(directory: Path, *, below: Path) -> None:
    """Create a directory and its parents down from `below`, each with mode 0700, as HyOps keeps them."""
    missing = [directory, *directory.parents]
    for parent in reversed([path for path in missing if path == below or below in path.parents]):
        parent.mkdir(mode=0o700, exist_ok=True, parents=parent == below)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically: mode 0600, fsync of the file and of its directory."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
