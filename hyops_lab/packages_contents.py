"""Small stand-ins of the overlay's packages: their names, their paths, their units, and none of their programs.

Enough for a disk that is inspected and not booted. Systemd files lie below `/lib`, as bookworm ships them, so that
unpacking them meets the merged `/usr`.
"""

from hyops_lab.debs import Deb, Entry

_TARGET = "[Unit]\nDescription=Cloud-init target\nAfter=multi-user.target\n"
_GENERATOR = "#!/bin/sh\nexit 0\n"
_AGENT_RULE = (
    'SUBSYSTEM=="virtio-ports", ATTR{name}=="org.qemu.guest_agent.0", TAG+="systemd", '
    'ENV{SYSTEMD_WANTS}="qemu-guest-agent.service"\n'
)


def _service(description: str) -> str:
    return f"""[Unit]
Description={description}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/cloud-init

[Install]
WantedBy=cloud-init.target
"""


def _files(files: dict[str, str], mode: int = 0o644) -> tuple[Entry, ...]:
    return tuple(Entry(path, content=text.encode(), mode=mode) for path, text in files.items())


_UNITS = "/lib/systemd/system"

DEBS = (
    Deb(
        "cloud-init",
        "22.4.2-1+lab1",
        depends="python3-configobj",
        conffiles=("/etc/cloud/cloud.cfg",),
        entries=(
            *_files(
                {
                    f"{_UNITS}/cloud-init-local.service": _service("Initial cloud-init job (pre-networking)"),
                    f"{_UNITS}/cloud-init.service": _service("Initial cloud-init job (metadata service crawler)"),
                    f"{_UNITS}/cloud-config.service": _service("Apply the settings specified in cloud-config"),
                    f"{_UNITS}/cloud-final.service": _service("Execute cloud user/final scripts"),
                    f"{_UNITS}/cloud-init-hotplugd.socket": (
                        "[Socket]\nListenFIFO=/run/cloud-init/share/hook-hotplug-cmd\n\n"
                        "[Install]\nWantedBy=cloud-init.target\n"
                    ),
                    f"{_UNITS}/cloud-init.target": _TARGET,
                    "/etc/cloud/cloud.cfg": "users:\n   - default\ndisable_root: true\n",
                    "/usr/lib/python3/dist-packages/cloudinit/__init__.py": "",
                    "/usr/lib/python3/dist-packages/cloudinit/config/__init__.py": "",
                }
            ),
            *_files(
                {
                    "/lib/systemd/system-generators/cloud-init-generator": _GENERATOR,
                    "/usr/bin/cloud-init": "#!/bin/sh\necho cloud-init of the lab\n",
                },
                0o755,
            ),
        ),
    ),
    Deb(
        "qemu-guest-agent",
        "1:7.2+lab1",
        architecture="amd64",
        entries=(
            *_files({f"{_UNITS}/qemu-guest-agent.service": "[Service]\nExecStart=/usr/sbin/qemu-ga\n\n[Install]\n"}),
            *_files({"/lib/udev/rules.d/60-qemu-guest-agent.rules": _AGENT_RULE}),
            *_files({"/usr/sbin/qemu-ga": "#!/bin/sh\nexit 0\n"}, 0o755),
        ),
    ),
    Deb(
        "cloud-guest-utils",
        "0.33-1+lab1",
        entries=_files({"/usr/bin/growpart": "#!/bin/sh\necho NOCHANGE: lab\nexit 1\n"}, 0o755),
    ),
    Deb(
        "python3-configobj",
        "5.0.8-1+lab1",
        entries=_files({"/usr/lib/python3/dist-packages/configobj/__init__.py": "# lab\n"}),
    ),
)
"""What the lab's repository holds. python3-configobj is asked for by no setting: it comes as a dependency."""
