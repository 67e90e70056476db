"""What the service manager is told: ready, busy, alive, stopping.

The protocol of sd_notify(3): datagrams of ``NAME=value`` lines to the socket named by ``NOTIFY_SOCKET``. Without that variable, as
on a terminal, nothing happens. A notice that cannot be delivered is logged and never stops the daemon.
"""

from __future__ import annotations

import logging
import os
import socket

logger = logging.getLogger(__name__)


def ready(status: str) -> None:
    """Report that start-up is over; ``status`` is the line that ``systemctl status`` shows."""
    _send(READY="1", STATUS=status)


def status(text: str) -> None:
    """Replace the line that ``systemctl status`` shows: counts and states, never a name or a text."""
    _send(STATUS=text)


def alive() -> None:
    """Feed the watchdog. Call it only when the work itself has moved: else a hang is blessed."""
    _send(WATCHDOG="1")


def extend_timeout(seconds: float) -> None:
    """Ask for ``seconds`` more, from now, for the start or stop in progress."""
    _send(EXTEND_TIMEOUT_USEC=str(round(seconds * 1_000_000)))


def stopping(status: str) -> None:
    """Report that the daemon is on its way out."""
    _send(STOPPING="1", STATUS=status)


def watchdog_seconds() -> float | None:
    """How long the manager waits for :func:`alive` before it kills us; None when this process is not watched.

    Ping at least twice in that time.
    """
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # the variables were inherited from a watched parent
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isascii() or not microseconds.isdigit() or int(microseconds) == 0:
        return None
    return int(microseconds) / 1_000_000


def _send(**fields: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract namespace
    # A line break within a value would start a field of its own.
    message = "\n".join(f"{name}={' '.join(value.split())}" for name, value in fields.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(1.0)
            channel.sendto(message.encode(), address)
    except OSError as error:
        logger.warning("the service manager could not be told", extra={"code": error.errno})
