"""The boot gate: QEMU on this host, with an accelerator that was proven by running a guest."""

from functools import cached_property
from pathlib import Path

import dagster as dg
from pydantic import JsonValue

from hyops_assets.contract.progress import Progress
from hyops_assets.image.boot import accelerator
from hyops_assets.image.boot.gate import BootFailed, Firmware, boot_gate


class BootGate:
    """Boots a record's qcow2 and tells what happened."""

    @cached_property
    def _accelerator(self) -> accelerator.Accelerator:
        return accelerator.probe()

    def boot(
        self, qcow2: Path, *, release: str, firmware: Firmware, timeout: float, scratch: Path, progress: Progress
    ) -> tuple[bool, dict[str, JsonValue]]:
        """Return whether the disk booted to the end of cloud-init, and what an auditor asks about it.

        Raises:
            MissingProgram: QEMU or the firmware is not installed.
        """
        found = self._accelerator
        facts: dict[str, JsonValue] = {"firmware": firmware, "accelerator": found.kind, "why": found.reason}
        try:
            proof = boot_gate(
                qcow2,
                release=release,
                firmware=firmware,
                accelerator=found,
                timeout=timeout,
                scratch=scratch,
                progress=progress,
            )
        except BootFailed as failure:
            return False, facts | {"failure": str(failure)}
        return True, facts | {"boot_seconds": round(proof.seconds, 1), "guest": proof.report}


class BootGateResource(dg.ConfigurableResource[BootGate]):
    """The boot gate of this host."""

    def create_resource(self, context: dg.InitResourceContext) -> BootGate:
        """Return the gate; the accelerator is probed when it is first needed."""
        return BootGate()
