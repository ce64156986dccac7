"""The id of an environment: made once, kept in a file of its own, never made up again for one that had one.

It stands beside `pipeline.yml` and not in it: that file is the user's, with comments in it, and is copied from one
environment to the next; the id must not be.
"""

import os
from contextlib import suppress
from tempfile import NamedTemporaryFile

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.ownership import is_environment_id, new_environment_id
from hyops_assets.image.private import make_private_directory
from hyops_assets.settings.pipeline import SettingsError

_LONGEST_ID = 64
"""Bytes that are looked at of an environment's id."""


def find_environment_id(root: RuntimeRoot) -> str | None:
    """Return the id of an environment; None where it has none yet.

    Raises:
        SettingsError: what stands in its place is none, or cannot be read. Another id must not be made up for it: what
            was written under the former one would count as another environment's from then on.
    """
    path = root.environment_id_file
    try:
        # What is no file is not followed and not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            text = os.read(descriptor, _LONGEST_ID).decode("ascii", "replace").strip()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="give this user the file") from error
    if not is_environment_id(text):
        raise SettingsError(
            f"{path} holds no environment's id",
            hint="put the former one back: the environment's states name it (environment_id)",
        )
    return text


def ensure_environment_id(root: RuntimeRoot) -> str:
    """Return the id of an environment, which it gets now if it has none: once, also where several ask at once."""
    path = root.environment_id_file
    found = find_environment_id(root)
    if found is not None:
        return found
    # As everything below a runtime root: for its owner alone.
    make_private_directory(path.parent)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as made:
        # Complete before it has its name: a reader sees an id or no file. A temporary file's mode is 0600.
        made.write(f"{new_environment_id()}\n".encode())
        made.flush()
        os.fsync(made.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(made.name)
    return find_environment_id(root) or ensure_environment_id(root)
