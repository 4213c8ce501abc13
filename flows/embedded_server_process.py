"""Prefect's own server in a process of its own, which ends when the process that started it does.

Started by `flows.embedded_server` as `python -P -m flows.embedded_server_process FD`: FD is a
socket that listens already, standard input a pipe whose other end the starting process holds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

APP = "prefect.server.api.server:create_app"
PATIENCE_S = 10.0


def main() -> None:
    """Serve until told to stop, or until the other end of standard input is closed."""
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    import uvicorn

    uvicorn.run(APP, factory=True, fd=int(sys.argv[1]), log_level="error", lifespan="on")


def _end_with_parent() -> None:
    """Wait for the pipe's end: the kernel closes it however the other process came to its end."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_S)
    os._exit(1)


if __name__ == "__main__":
    main()
