"""A guest's serial console, to read from and to type on; a guest that is switched off as by its power button."""

import json
import os
import re
import select
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hyops_assets.image.boot.accelerator import QEMU, Accelerator, qemu_value
from hyops_assets.image.boot.gate import MEMORY_MIB
from hyops_assets.image.programs import running

_READ_BYTES = 1 << 12
_SILENCE_SECONDS = 150.0
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?=]*[ -/]*[@-~]|[ -/]*[0-Z\\-~])|[\x00\x07\x0e\x0f\r]")


class FellSilent(AssertionError):
    """The console printed nothing for too long."""


class Console:
    """A running guest."""

    def __init__(self, process: subprocess.Popen[bytes], monitor: Path, agent: Path, deadline: float) -> None:
        assert process.stdin
        assert process.stdout
        self._process = process
        self._out = process.stdout.fileno()
        self._in = process.stdin.fileno()
        self._monitor = monitor
        self._agent = agent
        self._deadline = deadline
        self._printed = b""
        self._read_up_to = 0

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self._printed.decode(errors="replace"))

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return where a pattern stands in what was printed since the last one that was waited for."""
        while not (match := re.compile(pattern).search(self.text, self._read_up_to)):
            assert self._read(), f"the guest went off before {pattern!r}:\n{self.text[-3000:]}"
        self._read_up_to = match.end()
        return match

    def _read(self) -> bytes:
        """Return the next bytes, none when the guest is off."""
        left = self._deadline - time.monotonic()
        ready, _, _ = select.select([self._out], [], [], max(0.0, min(left, _SILENCE_SECONDS)))
        if not ready:
            raise FellSilent(f"nothing more came on the console:\n{self.text[-3000:]}")
        printed = os.read(self._out, _READ_BYTES)
        self._printed += printed
        return printed

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        os.write(self._in, line.encode() + b"\r")

    def ask_agent(self, command: str) -> dict[str, Any]:
        """Send a command to the guest's own agent, over the channel that Proxmox VE gives one; return its answer."""
        with socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(max(0.0, self._deadline - time.monotonic()))
            agent.connect(str(self._agent))
            with agent.makefile("rw") as channel:
                channel.write(json.dumps({"execute": command}) + "\n")
                channel.flush()
                return json.loads(channel.readline())["return"]

    def power_off(self) -> None:
        """Press the power button, and wait until the guest has written its disk and is off."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._monitor))
            with monitor.makefile("rw") as channel:
                for command in ("qmp_capabilities", "system_powerdown"):
                    channel.write(json.dumps({"execute": command}) + "\n")
                    channel.flush()
                while self._read():
                    pass
        assert self._process.wait() == 0


def converse(
    disk: Path,
    dialogue: Callable[[Console], None],
    *,
    accelerator: Accelerator,
    scratch: Path,
    timeout: float,
    seed: Path | None = None,
) -> str:
    """Boot a raw disk, hold a dialogue on its console, switch it off as by its button; return all it printed.

    A guest that falls silent is powered on once more, with the most modest processor, as the gate does.

    Args:
        disk: the raw disk; it keeps what the guest writes.
        dialogue: waits for prompts and types.
        accelerator: from `accelerator.probe`.
        scratch: for the sockets of monitor and agent, and QEMU's log.
        timeout: seconds for everything, of one power-on.
        seed: a NoCloud ISO.
    """

    def powered_on(used: Accelerator) -> str:
        argv = [*_qemu_arguments(disk, monitor, used, seed), *_agent_arguments(agent)]
        with (
            (scratch / "qemu.log").open("wb") as log,
            running(argv, stdin=subprocess.PIPE, stderr=log) as process,
        ):
            console = Console(process, monitor, agent, time.monotonic() + timeout)
            dialogue(console)
            console.power_off()
            return console.text

    monitor, agent = scratch / "qmp", scratch / "qga"
    try:
        return powered_on(accelerator)
    except FellSilent:
        return powered_on(accelerator.modest())


def _qemu_arguments(disk: Path, monitor: Path, used: Accelerator, seed: Path | None) -> list[str]:
    argv = [
        *("setpriv", "--pdeathsig", "KILL", QEMU, "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-machine", "q35,graphics=off,hpet=off", *used.qemu_arguments),
        *("-smp", str(used.processors), "-m", str(MEMORY_MIB)),
        *("-display", "none", "-nic", "none", "-qmp", f"unix:{qemu_value(monitor)},server=on,wait=off"),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"),
        *("-device", "virtio-scsi-pci,id=scsi", "-device", "scsi-hd,drive=disk,bootindex=0"),
        *("-drive", f"if=none,id=disk,format=raw,file={qemu_value(disk)}"),
    ]
    if seed is not None:
        argv += ["-drive", f"if=none,id=seed,format=raw,readonly=on,file={qemu_value(seed)}"]
        argv += ["-device", "scsi-cd,drive=seed"]
    return argv


def _agent_arguments(agent: Path) -> list[str]:
    return [
        *("-chardev", f"socket,path={qemu_value(agent)},server=on,wait=off,id=agent", "-device", "virtio-serial-pci"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
    ]
