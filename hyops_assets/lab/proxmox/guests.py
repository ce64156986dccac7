"""Guests: a machine's disk, booted in QEMU with the channel of the guest agent. Off unless asked for.

Where guests are off, starting one fails and says so; nothing answers in a guest's place.
"""

import asyncio
import json
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.image import programs
from hyops_assets.image.boot.accelerator import probe
from hyops_assets.image.boot.gate import MEMORY_MIB
from hyops_assets.lab.proxmox.answers import ApiError
from hyops_assets.lab.proxmox.inventory import Machine
from hyops_assets.lab.proxmox.storages import Storages

_AGENT_ANSWER_SECONDS = 3.0


@dataclass
class _Guest:
    process: subprocess.Popen[bytes]
    socket: Path
    resources: ExitStack


class Guests:
    """The running guests of a node. Sockets and consoles lie in `directory`."""

    def __init__(self, directory: Path, *, boot: bool) -> None:
        self._directory = directory
        self._boot = boot
        self._guests: dict[int, _Guest] = {}

    def running(self, vmid: int) -> bool:
        """Whether a guest's QEMU lives."""
        guest = self._guests.get(vmid)
        return guest is not None and guest.process.poll() is None

    async def start(self, machine: Machine, storages: Storages) -> None:
        """Boot a machine's `scsi0` under BIOS, with its agent channel and a serial console in a file.

        Without network and without a cloud-init drive: what is proven is that the disk boots as far as its agent.
        """
        if not self._boot:
            raise ApiError(500, "this stand-in boots no guests (boot_guests is off)")
        if self.running(machine.vmid):
            raise ApiError(500, f"VM {machine.vmid} already running")
        disk = storages.path(str(machine.config["scsi0"]).partition(",")[0])
        form = "qcow2" if storages.is_qcow2(disk) else "raw"
        self._directory.mkdir(parents=True, exist_ok=True)
        socket = self._directory / f"{machine.vmid}.qga"
        socket.unlink(missing_ok=True)
        accelerator = await asyncio.to_thread(probe)
        argv: list[str | Path] = [
            # The kernel ends the guest when the lab's process dies, even by SIGKILL.
            *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-no-user-config"),
            *("-display", "none", "-vga", "std", "-nic", "none"),
            # Without the HPET, as the boot gate: a guest that hung under emulation had just made it its clock.
            *("-machine", "q35,hpet=off", *accelerator.qemu_arguments, "-smp", str(accelerator.processors)),
            *("-m", str(machine.config.get("memory", MEMORY_MIB))),
            *("-device", "virtio-scsi-pci", "-drive", f"if=none,id=scsi0,format={form},file={disk}"),
            *("-device", "scsi-hd,drive=scsi0"),
            *("-serial", f"file:{self._directory / f'{machine.vmid}.console'}"),
            *("-chardev", f"socket,path={socket},server=on,wait=off,id=qga0", "-device", "virtio-serial"),
            *("-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"),
        ]
        resources = ExitStack()
        process = resources.enter_context(programs.running(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        self._guests[machine.vmid] = _Guest(process, socket, resources)

    async def stop(self, vmid: int) -> None:
        """End a guest, if it runs."""
        guest = self._guests.pop(vmid, None)
        if guest is not None:
            await asyncio.to_thread(guest.resources.close)
            guest.socket.unlink(missing_ok=True)

    async def stop_all(self) -> None:
        """End every guest."""
        for vmid in list(self._guests):
            await self.stop(vmid)

    async def ask_agent(self, machine: Machine, command: str) -> object:
        """Send a command without arguments to the guest's own agent and return what it answered.

        Raises:
            ApiError: as Proxmox says it: no agent configured, the machine is not running, the agent is not.
        """
        if "agent" not in machine.config:
            raise ApiError(500, "No QEMU guest agent configured")
        if not self.running(machine.vmid):
            raise ApiError(500, f"VM {machine.vmid} is not running")
        try:
            async with asyncio.timeout(_AGENT_ANSWER_SECONDS):
                return await _exchange(self._guests[machine.vmid].socket, command)
        except (TimeoutError, OSError, ValueError) as error:
            raise ApiError(500, "QEMU guest agent is not running") from error


async def _exchange(socket: Path, command: str) -> object:
    """Speak the agent's protocol: a JSON object per line, resynchronised by `guest-sync` (QEMU docs, qemu-ga)."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        for request in ({"execute": "guest-sync", "arguments": {"id": 4711}}, {"execute": command}):
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            answer = json.loads(await reader.readline())
            while request["execute"] == "guest-sync" and answer.get("return") != 4711:
                answer = json.loads(await reader.readline())
        if "error" in answer:
            raise ApiError(500, f"Agent error: {answer['error'].get('desc', '')}")
        return answer["return"]
    finally:
        writer.close()
