"""`hyops dev`: Dagster's webserver and daemon on loopback, on one instance, with the lab if there is one."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from hyops_assets.cli import lab
from hyops_assets.cli.environment import ANNOUNCED, Place
from hyops_assets.cli.graph import prepare_partitions
from hyops_assets.cli.instance import open_instance
from resources.settings import load_settings

_CHECKOUT = Path(__file__).parents[2]
_STOP_SECONDS = 20.0


def run_dev(place: Place, port: int) -> None:
    """Serve the UI until interrupted; leave no process behind."""
    # A shell's background jobs start with SIGINT ignored, and a service manager sends SIGTERM: both end it well.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.default_int_handler)
    is_lab = load_settings(place.root).lab
    with lab.lab_running(place.root) if is_lab else nullcontext():
        with open_instance(place.root) as instance:
            prepare_partitions(instance, place.root)
        place.console.print(f"Dagster UI: http://127.0.0.1:{port}   (Ctrl-C ends it)")
        command = [
            sys.executable, "-m", "dagster", "dev",
            "--host", "127.0.0.1", "--port", str(port), "--workspace", str(_CHECKOUT / "workspace.yaml"),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=_CHECKOUT, env=os.environ | {"PYTHONWARNINGS": _quiet()}, start_new_session=True
        )
        try:
            process.wait()
        except KeyboardInterrupt:
            place.console.print("stopping")
        finally:
            _stop(process)


def _quiet() -> str:
    """Return Python's own filter for what we know: Dagster's processes inherit it through the environment."""
    return ",".join([*(f"ignore:{message}" for message in ANNOUNCED), "ignore:Function `dev_command` is superseded"])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole group: with a browser still connected, Dagster alone takes more than half a minute."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(_STOP_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            continue
