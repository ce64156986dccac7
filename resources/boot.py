"""The boot gate: QEMU on this host, with an accelerator that was proven by running a guest."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import dagster as dg
from pydantic import JsonValue

from hyops_assets.contract.progress import Progress
from hyops_assets.image.boot.accelerator import Accelerator, probe
from hyops_assets.image.boot.gate import MEMORY_MIB, BootFailed, booting
from hyops_assets.image.boot.together import Paused
from hyops_assets.image.boot.turns import host_directory, taken
from hyops_assets.image.boot.verdict import Firmware
from resources.environment import of_environment


class BootGate:
    """Boots a record's qcow2 and tells what happened.

    Args:
        emulated_at_once: guests that this host emulates at a time; the others wait. Under KVM none waits.
        locks: directory of the locks by which they are counted; this user's own where it is not given.
        probe: finds the accelerator.
    """

    def __init__(
        self,
        *,
        emulated_at_once: int = 2,
        locks: Path | None = None,
        probe: Callable[[], Accelerator] = probe,
    ) -> None:
        self.emulated_at_once = emulated_at_once
        self._locks = locks or host_directory()
        self._probe = probe

    @cached_property
    def _accelerator(self) -> Accelerator:
        return self._probe()

    def booting(
        self,
        qcow2: Path,
        *,
        release: str,
        firmware: Firmware,
        timeout: float,
        scratch: Path,
        progress: Progress,
        memory_mib: int = MEMORY_MIB,
    ) -> Paused[tuple[bool, dict[str, JsonValue]]]:
        """Return whether the disk booted to the end of cloud-init, and what an auditor asks about it.

        The timeout begins when it is this guest's turn. Several go on side by side by `together`.

        Raises:
            MissingProgram: QEMU or the firmware is not installed.
        """
        found = self._accelerator
        facts: dict[str, JsonValue] = {"firmware": firmware, "accelerator": found.kind, "why": found.reason}
        with ExitStack() as turn:
            if found.kind == "tcg":
                free = yield from taken(self._locks, at_once=self.emulated_at_once, progress=progress)
                turn.enter_context(free)
            try:
                proof = yield from booting(
                    qcow2,
                    release=release,
                    firmware=firmware,
                    accelerator=found,
                    timeout=timeout,
                    scratch=scratch,
                    memory_mib=memory_mib,
                    progress=progress,
                )
            except BootFailed as failure:
                return False, facts | {"failure": str(failure)}
        return True, facts | {"boot_seconds": round(proof.seconds, 1), "guest": proof.report}


def host_boot_gate() -> dg.ResourceDefinition:
    """Return the resource of the boot gate of this host; the accelerator is probed when it is first needed."""
    return of_environment(
        lambda environment: BootGate(emulated_at_once=environment.settings.build.emulated_guests_at_once),
        "QEMU on this host, for the gates that boot a record.",
    )
