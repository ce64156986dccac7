"""This process as other processes of its user see it."""

import ctypes
import os

_PR_SET_DUMPABLE = 4
"""`linux/prctl.h`; prctl(2)."""


def close_to_others() -> None:
    """Keep other processes of this user from reading this one: its environment, its memory, what it has open.

    For the rest of its life: a command that went on in the background would read later. A program that this process
    starts is as open as ever, since it begins anew with exec. Root reads everything, as before. There are no core
    dumps of this process either, and a debugger of the same user cannot attach.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
