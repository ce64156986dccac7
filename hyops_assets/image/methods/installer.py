"""VyOS' own installer, as a conversation on a serial console: what it asks, in which order, and what is answered.

The questions are those of VyOS from 1.4 on (vyos-1x, `scripts/check-qemu-install` and the installation page of
docs.vyos.io). Every answer waits for its question; nothing is typed after a time. What is asked out of order, or as
only VyOS 1.3 asks, ends the conversation with the console's last lines.
"""

import re
import secrets
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.console import console_tail, plain
from hyops_assets.image.methods.method import BuildFailed

_READ_BYTES = 1 << 16
_TAIL_LINES = 20
_SHELL = r"vyos@\S+:~\$ "
_PASSWORD_BYTES = 24
_HIDDEN = "********"
_FAILURES = (
    (re.compile(r"\((?:Yes/No|Auto/Parted/Skip)\) \["), "this is the installer of VyOS 1.3, which asks otherwise"),
    (re.compile(r"Login incorrect"), "the ISO does not let in vyos with the password vyos"),
    (
        re.compile(
            r"Invalid (?:command|value)|Non-empty value required|The suggested name is unsupported"
            r"|Please respond with yes/y or no/n"
        ),
        "it did not take the answer",
    ),
    (re.compile(r"No suitable disk was found"), "it found no disk to install to"),
    (re.compile(r"The system is already installed"), "the machine did not start from the ISO"),
    # Then it prints its shell's prompt, as it does when all went well.
    (re.compile(r"Unable to install VyOS: .*[\r\n]"), "it gave up"),
    (
        re.compile(r"The entered values did not match|Password confirmation failed|passwords do not match", re.I),
        "it lost part of an answer",
    ),
    (re.compile(r"Kernel panic - not syncing.*"), "the kernel panicked"),
)


class InstallerDiffers(BuildFailed):
    """The installer asked, said or did something else than VyOS' installer does from 1.4 on."""

    def __init__(self, why: str, console: str) -> None:
        self.console_tail = console_tail(console, _TAIL_LINES)
        super().__init__(
            f"the installer could not be answered: {why}\nconsole, last lines:\n{self.console_tail}",
            hint="use build.method native, or give an ISO of VyOS 1.4 or newer; a slow machine needs larger timeouts",
        )


@dataclass(frozen=True)
class Question:
    """One thing that the console shows, and what is typed then.

    Attributes:
        name: what it is about.
        shown: the prompt, as a regular expression.
        answer: None for the password of this installation.
        always: it is asked in every installation.
    """

    name: str
    shown: re.Pattern[str]
    answer: str | None
    always: bool = True


def questions(console: str) -> tuple[Question, ...]:
    """Return the questions of an installation in their order.

    Args:
        console: the console that the installed system shall use, `ttyS0` or `tty0`.
    """
    asked = (
        ("login", r"^(?!Last )\S+ login: ", "vyos", True),
        ("login password", r"Password: ", "vyos", True),
        ("shell", _SHELL, "install image", True),
        ("continue", r"Would you like to continue\? \[y/N\]", "y", True),
        ("image name", r"What would you like to name this image\?", "", True),
        ("password", r"Please enter a password for the \"vyos\" user", None, True),
        ("password again", r"Please confirm password", None, True),
        ("console", r"What console should be used by default\?", "S" if console.startswith("ttyS") else "K", True),
        ("mirroring", r"Would you like to configure RAID-1 mirroring\?", "n", False),
        ("disk", r"Which one should be used for installation\?", "", True),
        ("delete all data", r"Installation will delete all data on the drive\. Continue\? \[y/N\]", "y", True),
        ("all free space", r"Would you like to use all the free space on the drive\?", "y", True),
        ("boot config", r"Which file would you like as boot config\?", "", True),
        ("installed", _SHELL, "poweroff now", True),
    )
    return tuple(
        Question(name, re.compile(shown, re.MULTILINE), answer, always) for name, shown, answer, always in asked
    )


def random_password() -> str:
    """Return a password for one installation. It is typed, and stands nowhere else: the disk's is dropped."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


@dataclass(frozen=True)
class Patience:
    """How many seconds the machine may take to its login prompt, and then to each next question."""

    boot: float
    step: float


def answer_installer(
    console: socket.socket,
    asked: Sequence[Question],
    password: str,
    patience: Patience,
    *,
    progress: Progress = silent,
) -> str:
    """Answer an installer until its machine has powered itself off; return what the console showed, password hidden.

    Args:
        console: a connection to the serial console.
        asked: the questions in their order, from `questions`.
        password: what is typed for the installation's password.
        patience: how long each question is waited for.
        progress: called with the bytes that the console printed, by question; cancels by raising.

    Raises:
        InstallerDiffers: another question, a failure, or no question in time; with the console's last lines.
    """
    talk = _Conversation(console, password, progress)
    index = 0
    while index < len(asked):
        awaited = _next_questions(asked, index)
        index = talk.await_one(asked, awaited, patience.boot if index == 0 else patience.step) + 1
        talk.answer(asked[index - 1])
    talk.await_end(patience.step)
    return talk.shown


def _next_questions(asked: Sequence[Question], index: int) -> list[int]:
    """Return which questions may come now: the next one that always comes, and those before it that may not."""
    awaited = []
    for number in range(index, len(asked)):
        awaited.append(number)
        if asked[number].always:
            break
    return awaited


class _Conversation:
    """What was shown so far, and the part of it that is not answered yet."""

    def __init__(self, console: socket.socket, password: str, progress: Progress) -> None:
        self._console = console
        self._password = password
        self._progress = progress
        self._raw = b""
        self._answered = 0
        self._about = "boot"

    @property
    def shown(self) -> str:
        """Everything, the password hidden even where a console echoes it."""
        return self._text().replace(self._password, _HIDDEN)

    def await_one(self, asked: Sequence[Question], awaited: Sequence[int], seconds: float) -> int:
        """Return which of the awaited questions was asked first."""
        names = " or ".join(asked[number].name for number in awaited)
        deadline = time.monotonic() + seconds
        while True:
            found = self._asked(asked, awaited)
            if found is not None:
                return found
            if not self._read(deadline, f"no question about {names} within {seconds:.0f} s"):
                raise InstallerDiffers(f"the machine ended before the question about {names}", self.shown)

    def answer(self, question: Question) -> None:
        """Type the answer, as Enter ends it."""
        self._about = question.name
        self._console.sendall(f"{self._password if question.answer is None else question.answer}\r".encode())

    def await_end(self, seconds: float) -> None:
        """Wait until the machine has powered itself off."""
        deadline = time.monotonic() + seconds
        while self._read(deadline, f"the machine did not power itself off within {seconds:.0f} s"):
            pass

    def _asked(self, asked: Sequence[Question], awaited: Sequence[int]) -> int | None:
        unanswered = self._text()[self._answered :]
        for failure, why in _FAILURES:
            if match := failure.search(unanswered):
                raise InstallerDiffers(f"{why} ({match[0].strip()!r} after {self._about})", self.shown)
        for number in awaited:
            if match := asked[number].shown.search(unanswered):
                self._answered += match.end()
                return number
        for question in asked:
            if question.shown.search(unanswered):
                names = " or ".join(asked[number].name for number in awaited)
                why = f"it asked about {question.name} after {self._about}, where {names} was expected"
                raise InstallerDiffers(why, self.shown)
        return None

    def _read(self, deadline: float, otherwise: str) -> bool:
        """Take what the console prints next; False where it has ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._console, selectors.EVENT_READ)
            while not selector.select(max(0.0, min(1.0, deadline - time.monotonic()))):
                self._progress(f"installer: {self._about}", len(self._raw), None)
                if time.monotonic() >= deadline:
                    raise InstallerDiffers(otherwise, self.shown)
        try:
            printed = self._console.recv(_READ_BYTES)
        except ConnectionResetError:
            printed = b""
        self._raw += printed
        return bool(printed)

    def _text(self) -> str:
        return plain(self._raw)
