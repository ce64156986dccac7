"""Reading and writing `pipeline.yml`. The models stand in `hyops_assets/settings/`."""

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, create_model

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.names import SiteName
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.private import make_private_directory
from hyops_assets.settings.pipeline import Settings, SettingsError
from hyops_assets.settings.sites import Sites
from resources.environment_id import ensure_environment_id, find_environment_id
from resources.secrets import named_in, remember
from resources.sites.registry import CLOUDS
from resources.yaml_files import UnreadableYaml, read_yaml


def load_settings(root: RuntimeRoot) -> Settings:
    """Return the settings of an environment; the defaults where it has no `pipeline.yml`.

    Raises:
        SettingsError: the file is unreadable, too large, no YAML mapping, or does not validate; every wrong key is
            named. Or the environment's id cannot be read.
    """
    return _read_settings(root).of_environment(find_environment_id(root))


def settings_to_write(root: RuntimeRoot) -> Settings:
    """Return the settings of an environment that is about to write somewhere: it gets an id if it has none.

    Raises as `load_settings` does.
    """
    settings = load_settings(root)
    return settings if settings.environment_id else settings.of_environment(ensure_environment_id(root))


def _read_settings(root: RuntimeRoot) -> Settings:
    path = root.settings_file
    try:
        # Only "there is none" means defaults: a link that leads nowhere, or a directory of another user, is a mistake.
        path.lstat()
        content = read_yaml(path)
    except FileNotFoundError:
        return settings_model()()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="give this user the directory") from error
    except UnreadableYaml as error:
        raise SettingsError(error.message, hint=error.hint) from error
    model = settings_model()
    if content is None:
        return model()
    try:
        settings = model.model_validate(content)
    except ValidationError as error:
        wrong = wrong_values(error, "the file")
        raise SettingsError(f"{path}: {wrong}", hint="mend these keys; hyops doctor reads the file again") from None
    # From here on, whatever this process writes is without what these variables hold.
    remember(named_in(settings))
    return settings


def settings_model() -> type[Settings]:
    """Return the model of `pipeline.yml`, with a section of `sites` for each cloud of the registry."""
    more: dict[str, Any] = {
        cloud.name: (dict[SiteName, cloud.site], {}) for cloud in CLOUDS if cloud.name not in Sites.model_fields
    }
    if not more:
        return Settings
    sites = create_model("Sites", __base__=Sites, **more)
    return create_model("Settings", __base__=Settings, sites=(sites, sites()))


def save_settings(root: RuntimeRoot, settings: Settings, *, heading: str) -> Path:
    """Write `pipeline.yml` atomically, readable by its owner only, under a comment that says who wrote it."""
    path = root.settings_file
    make_private(path.parent, below=root.path)
    content = settings.model_dump(mode="json", exclude_defaults=True)
    text = f"# {heading}\n" + yaml.safe_dump(content, sort_keys=False, default_flow_style=False)
    write_private(path, text.encode())
    return path


def make_private(directory: Path, *, below: Path) -> None:
    """Create a directory of an environment, and whatever is missing above it, each with mode 0700.

    Args:
        directory: is made, and stays as it is where it is there.
        below: the environment's root, made before it; a link in place of a directory beneath is followed.
    """
    make_private_directory(below)
    make_private_directory(directory)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically: mode 0600, fsync of the file and of its directory.

    Raises:
        BeingWritten: another process writes the same file at this moment.
    """
    with replacing(path) as partial:
        partial.chmod(0o600)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
