"""`hyops dev` and `hyops ui`: Dagster's UI behind its guard, on loopback, with the daemon and the lab if wanted."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from hyops_assets.cli import closed, extras
from hyops_assets.cli.environment import ANNOUNCED, Place
from hyops_assets.cli.graph import prepare_partitions
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.usage import BadUsage
from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.own_process import close_to_others
from hyops_assets.image.shipped import shipped
from hyops_assets.ui.serve import Ui
from resources.settings import load_settings

_WORKSPACE = "workspace.yaml"
_STOP_SECONDS = 20.0


class DaemonEnded(HyopsError):
    """Dagster's daemon ended while the UI was open: nothing would tick behind a UI that looks alive."""


@dataclass(frozen=True)
class Serving:
    """How the UI is served.

    Attributes:
        port: on loopback; 0 takes a free one.
        read_only: whether it only shows.
        unguarded_because: why it is served without its guard; empty with it.
    """

    port: int
    read_only: bool = False
    unguarded_because: str = ""


def run_dev(place: Place, serving: Serving) -> None:
    """Serve the UI with the daemon, and the lab where the settings are a lab's, until interrupted."""
    with ExitStack() as stack:
        _serve(place, serving, stack, daemon=True)


def run_ui(place: Place, serving: Serving) -> None:
    """Serve the UI alone, beside a daemon that runs as a service."""
    with ExitStack() as stack:
        _serve(place, serving, stack, daemon=False)


def _serve(place: Place, serving: Serving, stack: ExitStack, *, daemon: bool) -> None:
    # A shell's background jobs start with SIGINT ignored, and a service manager sends SIGTERM: both end it well.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.default_int_handler)
    close_to_others()
    os.environ["PYTHONWARNINGS"] = ",".join(f"ignore:{message}" for message in ANNOUNCED)
    ui = Ui(place.root, serving.port, read_only=serving.read_only, guarded=not serving.unguarded_because)
    if daemon and load_settings(place.root).lab:
        stack.enter_context(extras.lab().running(place.root))
    instance = stack.enter_context(open_instance(place.root))
    prepare_partitions(instance, place.root)
    watched = stack.enter_context(_daemon(ui)) if daemon else None
    if serving.unguarded_because:
        place.console.print(
            f"warning: no guard ({serving.unguarded_because}): every page in this user's browser, and every user of "
            "this host, can start runs here as this user"
        )
    try:
        ui.serve(instance, shipped(_WORKSPACE), ready=lambda link: _announce(place, link, guarded=ui.guarded))
    except KeyboardInterrupt:
        place.console.print("stopping")
    if watched is not None and watched.ended.is_set():
        raise DaemonEnded(
            f"Dagster's daemon ended with exit status {watched.process.returncode}", hint="read its lines above"
        )


def _announce(place: Place, link: str, *, guarded: bool) -> None:
    once = "   (opens once, within a minute; another link: hyops open)" if guarded else ""
    place.console.print(f"Dagster UI: {link}{once}", soft_wrap=True)
    place.console.print("Ctrl-C ends it")


@dataclass(frozen=True)
class _Watched:
    """The daemon's process, and whether it ended by itself."""

    process: subprocess.Popen[bytes]
    ended: threading.Event


@contextmanager
def _daemon(ui: Ui) -> Iterator[_Watched]:
    """Run Dagster's daemon for as long as the block lasts; where it ends before, the UI is stopped."""
    # It holds every token of the environment, and ticks for days beside other programs of this user.
    workspace = shipped(_WORKSPACE)
    command = [sys.executable, "-m", closed.__name__, "dagster-daemon", "run", "--workspace", workspace]
    process = subprocess.Popen(command, cwd=workspace.parent, start_new_session=True)
    stopping, ended = threading.Event(), threading.Event()

    def watch() -> None:
        process.wait()
        if not stopping.is_set():
            ended.set()
            ui.stop()

    threading.Thread(target=watch, name="daemon watch", daemon=True).start()
    try:
        yield _Watched(process, ended)
    finally:
        stopping.set()
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole group: its code servers too."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(_STOP_SECONDS)
        except ProcessLookupError:
            return
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue


def serving_of(port: int, *, read_only: bool, without_guard: bool, reason: str) -> Serving:
    """Return how the UI is served, as it was asked for on the command line.

    Raises:
        BadUsage: the guard is to be left out without a reason, or a reason stands alone.
    """
    if without_guard != bool(reason.strip()):
        raise BadUsage(
            "--without-guard and --reason belong together",
            hint="without its guard, every page in your browser can start runs as you: say why that is meant",
        )
    return Serving(port, read_only, reason.strip())
