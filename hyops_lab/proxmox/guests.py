"""Guests: a machine, booted in QEMU with the hardware that Proxmox gives it, under emulation. Off unless asked for.

Where guests are off, starting one fails and says so; nothing answers in a guest's place.
"""

import asyncio
import json
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.image import programs
from hyops_lab.proxmox.answers import ApiError
from hyops_lab.proxmox.cloudinit import write_cloudinit
from hyops_lab.proxmox.inventory import Machine
from hyops_lab.proxmox.storages import Storages

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
        """Boot a machine: its disk, its cloud-init drive, its network card, agent channel, and a console in a file.

        The network card leads nowhere. The cloud-init drive is written at each start, as Proxmox does.
        """
        if not self._boot:
            raise ApiError(500, "this stand-in boots no guests (boot_guests is off)")
        if self.running(machine.vmid):
            raise ApiError(500, f"VM {machine.vmid} already running")
        self._directory.mkdir(parents=True, exist_ok=True)
        socket = self._directory / f"{machine.vmid}.qga"
        socket.unlink(missing_ok=True)
        drive = str(machine.config.get("ide2", "")).partition(",")[0]
        if drive.endswith("cloudinit"):
            await write_cloudinit(machine.config, storages.path(drive))
        # The kernel ends the guest when the lab's process dies, even by SIGKILL.
        argv = ["setpriv", "--pdeathsig", "KILL", *hardware(machine, storages, socket, self._console(machine.vmid))]
        resources = ExitStack()
        process = resources.enter_context(programs.running(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        self._guests[machine.vmid] = _Guest(process, socket, resources)

    def _console(self, vmid: int) -> Path:
        return self._directory / f"{vmid}.console"

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


def hardware(machine: Machine, storages: Storages, agent: Path, console: Path) -> list[str | Path]:
    """Return QEMU's command line for a machine.

    What a configuration leaves out is qemu-server's default (QemuServer.pm, `config_to_command`): an i440fx board, the
    CPU kvm64, BIOS. The accelerator is ours: no KVM here.
    """
    config = machine.config
    disk = storages.path(str(config["scsi0"]).partition(",")[0])
    form = "qcow2" if storages.is_qcow2(disk) else "raw"
    argv: list[str | Path] = [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-vga", "std"),
        # Without the HPET, as the boot gate: a guest that hung under emulation had just made it its clock.
        *("-machine", f"{config.get('machine', 'pc')},hpet=off", "-accel", "tcg,thread=multi"),
        *("-cpu", str(config.get("cpu", "kvm64")).partition(",")[0]),
        *("-smp", str(config.get("cores", 1)), "-m", str(config.get("memory", 512))),
        *("-device", "virtio-scsi-pci", "-drive", f"if=none,id=scsi0,format={form},file={disk}"),
        *("-device", "scsi-hd,drive=scsi0,bootindex=100"),
        *("-serial", f"file:{console}"),
        *("-chardev", f"socket,path={agent},server=on,wait=off,id=qga0", "-device", "virtio-serial"),
        *("-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"),
    ]
    if "ide2" in config:
        image = storages.path(str(config["ide2"]).partition(",")[0])
        argv += ["-drive", f"if=none,id=ide2,media=cdrom,format=raw,readonly=on,file={image}"]
        argv += ["-device", "ide-cd,bus=ide.1,unit=0,drive=ide2"]
    if "net0" in config:
        model, _, address = str(config["net0"]).partition(",")[0].partition("=")
        card = {"virtio": "virtio-net-pci"}.get(model, model)
        argv += ["-netdev", "user,id=net0,restrict=on", "-device", f"{card},netdev=net0,mac={address}"]
    return argv


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
