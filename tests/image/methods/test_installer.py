"""The conversation with an installer, over a real socket; the whole build on a guest is in test_packer."""

import socket
import threading
from collections.abc import Sequence

import pytest

from hyops_assets.image.methods.installer import (
    InstallerDiffers,
    Patience,
    answer_installer,
    questions,
    random_password,
)

PASSWORD = "not-on-any-disk"
PATIENT = Patience(boot=5, step=5)

LOGIN = ["\r\nWelcome to VyOS - vyos ttyS0\r\n\r\nvyos login: ", "Password: "]
SHELL = "\x1b[?2004hvyos@vyos:~$ "
ASKED = [
    *LOGIN,
    f"\r\nLast login: Mon Nov 23 03:00:00 UTC 2026 on tty1\r\nWelcome to VyOS!\r\n{SHELL}",
    "Would you like to continue? [y/N] ",
    "What would you like to name this image? (Default: 2026.03.03-0027-rolling) ",
    'Please enter a password for the "vyos" user: ',
    'Please confirm password for the "vyos" user: ',
    "What console should be used by default? (K: KVM, S: Serial)? (Default: S) ",
    "Which one should be used for installation? (Default: /dev/vda) ",
    "Installation will delete all data on the drive. Continue? [y/N] ",
    "Would you like to use all the free space on the drive? [Y/n] ",
    "Which file would you like as boot config? (Default: 1) ",
    f"The image installed successfully; please reboot now.\r\n{SHELL}",
]
ANSWERS = ["vyos", "vyos", "install image", "y", "", PASSWORD, PASSWORD, "S", "", "y", "y", "", "poweroff now"]


class Machine(threading.Thread):
    """The other end of a serial console: shows one thing, takes one line, and so on; then it goes off."""

    def __init__(self, shows: Sequence[str], *, goes_off: bool = True, one_byte_at_a_time: bool = False) -> None:
        super().__init__(daemon=True)
        self.ours, self._end = socket.socketpair()
        self._shows = shows
        self._goes_off = goes_off
        self._slow = one_byte_at_a_time
        self.answers: list[str] = []

    def run(self) -> None:
        for shown in self._shows:
            for piece in shown if self._slow else [shown]:
                self._end.sendall(piece.encode())
            line = b""
            while not line.endswith(b"\r"):
                byte = self._end.recv(1)
                if not byte:
                    return
                line += byte
            self._end.sendall(line + b"\n")
            self.answers.append(line.decode().rstrip("\r"))
        if self._goes_off:
            self._end.close()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self.ours.close()
        self.join(5)
        self._end.close()


def converse(machine: Machine, patience: Patience = PATIENT, console: str = "ttyS0") -> str:
    machine.start()
    with machine:
        return answer_installer(machine.ours, questions(console), PASSWORD, patience)


@pytest.mark.parametrize("slow", [False, True])
def test_every_question_gets_its_answer_and_no_other(slow: bool) -> None:
    machine = Machine(ASKED, one_byte_at_a_time=slow)
    shown = converse(machine)
    assert machine.answers == ANSWERS
    assert "The image installed successfully" in shown


def test_the_question_about_mirroring_is_answered_where_it_is_asked() -> None:
    asked = [*ASKED[:8], "Would you like to configure RAID-1 mirroring? [Y/n] ", *ASKED[8:]]
    machine = Machine(asked)
    converse(machine)
    assert machine.answers == [*ANSWERS[:8], "n", *ANSWERS[8:]]


def test_the_console_that_was_asked_for_is_chosen() -> None:
    machine = Machine(ASKED)
    converse(machine, console="tty0")
    assert machine.answers[7] == "K"


def test_the_password_is_hidden_even_where_a_console_echoes_it() -> None:
    assert PASSWORD not in converse(Machine(ASKED))


def test_a_login_of_the_past_is_not_taken_for_a_prompt() -> None:
    machine = Machine(["Last login: Mon Nov 23 on tty1\r\nvyos login: ", *ASKED[1:]])
    converse(machine)
    assert machine.answers == ANSWERS


@pytest.mark.parametrize(
    ("shows", "why"),
    [
        ([*ASKED[:3], "Would you like to continue? (Yes/No) [Yes]: "], "installer of VyOS 1.3"),
        ([*LOGIN, "\r\nLogin incorrect\r\n\r\nvyos login: "], "does not let in vyos"),
        ([*ASKED[:3], f"\r\n  Invalid command: [install]\r\n{SHELL}"], "did not take the answer"),
        ([*ASKED[:4], "Would you like to continue? [y/N] "], "asked about continue after continue"),
        ([*ASKED[:8], f"Exiting.\r\n{SHELL}"], "asked about shell after console, where mirroring or disk"),
        ([*ASKED[:8], f"No suitable disk was found.\r\n{SHELL}"], "no disk to install to"),
        # As vyos-1x words it (image_installer.py and utils/io.py, October 2024).
        (
            [*ASKED[:12], f"\r\nUnable to install VyOS: no space\r\n{SHELL}"],
            "it gave up .*no space.* after boot config",
        ),
        ([*ASKED[:7], "\r\nThe entered values did not match. Try again\r\n"], "lost part of an answer"),
        ([*ASKED[:7], "\r\nNon-empty value required; try again.\r\n"], "did not take the answer"),
        ([*ASKED[:5], "\r\nThe suggested name is unsupported!\r\n"], "did not take the answer"),
        ([*ASKED[:4], "\r\nPlease respond with yes/y or no/n\r\n"], "did not take the answer"),
        ([*ASKED[:3], f"\r\nThe system is already installed.\r\n{SHELL}"], "did not start from the ISO"),
        (["[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n"], "the kernel panicked"),
    ],
)
def test_what_differs_is_named_at_once_with_the_consoles_last_lines(shows: list[str], why: str) -> None:
    # An answer that came only when the time had run out would name the question that did not come.
    with pytest.raises(InstallerDiffers, match=why) as differs:
        converse(Machine(shows))
    assert shows[-1].replace("\x1b[?2004h", "").strip().splitlines()[-1].strip() in differs.value.console_tail


def test_a_question_that_does_not_come_in_time_is_named_with_what_came_instead() -> None:
    with pytest.raises(InstallerDiffers, match=r"(?s)no question about continue within 0 s.*Choose a flavour:"):
        converse(Machine([*ASKED[:3], "Choose a flavour: "]), Patience(boot=5, step=0.2))


def test_a_machine_that_ends_too_early_is_distinguished_from_one_that_is_slow() -> None:
    with pytest.raises(InstallerDiffers, match="the machine ended before the question about console"):
        converse(Machine(ASKED[:7]))


def test_a_machine_that_stays_on_is_not_waited_for_for_ever() -> None:
    with pytest.raises(InstallerDiffers, match="did not power itself off"):
        converse(Machine(ASKED, goes_off=False), Patience(boot=5, step=0.2))


@pytest.mark.seconds
def test_cancelling_ends_the_conversation_while_it_waits() -> None:
    class Cancelled(Exception):
        pass

    def cancel(stage: str, done: int, total: int | None) -> None:
        raise Cancelled

    machine = Machine([], goes_off=False)
    machine.start()
    with machine, pytest.raises(Cancelled):
        answer_installer(machine.ours, questions("ttyS0"), PASSWORD, PATIENT, progress=cancel)


def test_every_installation_has_a_random_password_of_its_own() -> None:
    passwords = {random_password() for _ in range(100)}
    assert len(passwords) == 100
    assert all(len(password) >= 32 for password in passwords)
