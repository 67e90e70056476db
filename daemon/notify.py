"""What the service manager is told: ready, busy, alive, stopping.

The protocol of sd_notify(3): datagrams of ``NAME=value`` lines to the socket named by ``NOTIFY_SOCKET``. Without that variable, as
on a terminal, nothing happens. A notice that cannot be delivered is logged and never stops the daemon.
"""

from __future__ import annotations

import logging
import os
import socket

logger = logging.getLogger(__name__)

#: Longest wait for a service manager whose queue is full.
SEND_SECONDS = 1.0


def notify(*fields: str) -> None:
    """Tell the service manager: ``READY=1``, ``STATUS=3 waiting``, ``WATCHDOG=1``, ``EXTEND_TIMEOUT_USEC=60000000``, ``STOPPING=1``.

    Given fields of ``NAME=value``; a line break within one becomes a space, as it would begin a field of its own. A status shows
    counts and states, never a name or a text.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract namespace
    message = "\n".join(" ".join(field.split()) for field in fields)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(SEND_SECONDS)
            channel.sendto(message.encode(), address)
    except OSError as error:
        logger.warning("the service manager could not be told", extra={"code": error.errno})


def watchdog_seconds() -> float | None:
    """How long the manager waits for ``WATCHDOG=1`` before it kills us; None when this process is not watched.

    Ping at least twice in that time, and only when the work itself has moved: else a hang is blessed.
    """
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # the variables were inherited from a watched parent
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isascii() or not microseconds.isdigit() or int(microseconds) == 0:
        return None
    return int(microseconds) / 1_000_000
