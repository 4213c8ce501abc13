"""mitmproxy add-on: answer as a bad day of an S3 server would.

    mitmdump --mode reverse:http://127.0.0.1:7480 -s infra/faults/spoil_s3.py
        --set keep_host_header=true --set slow_down=0.05 --set disconnect=0.01 ...

Rates are shares of requests. What was done is counted in the file `counts`, one line a fault.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from mitmproxy import ctx, http

SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>'
REFUSED = b'<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code></Error>'


class SpoilS3:
    def __init__(self) -> None:
        self.draws = random.Random(0)  # noqa: S311  # the same faults in each run

    def load(self, loader: object) -> None:
        for name, words in (
            ("slow_down", "503 SlowDown"),
            ("disconnect", "connection closed, before or after the server has acted"),
            ("half_upload", "a PUT whose connection ends in the middle of its body"),
            ("slow_read", "an answer that comes a second late"),
        ):
            loader.add_option(name, str, "0", words)  # type: ignore[attr-defined]
        loader.add_option("counts", str, "", "file that takes a line a fault")  # type: ignore[attr-defined]
        loader.add_option("refuse_if", str, "", "403 to all once there is this file")  # type: ignore[attr-defined]

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.request.method == "PUT" and self.strikes("half_upload"):
            flow.kill()

    async def request(self, flow: http.HTTPFlow) -> None:
        if ctx.options.refuse_if and Path(ctx.options.refuse_if).exists():
            self.count("refused")
            flow.response = http.Response.make(403, REFUSED, {"Content-Type": "application/xml"})
        elif self.strikes("slow_down"):
            flow.response = http.Response.make(503, SLOW_DOWN, {"Content-Type": "application/xml"})
        elif self.strikes("disconnect", 0.5):
            flow.kill()

    async def response(self, flow: http.HTTPFlow) -> None:
        if self.strikes("slow_read"):
            await asyncio.sleep(1.0)
        if self.strikes("disconnect", 0.5):
            flow.kill()

    def strikes(self, name: str, share: float = 1.0) -> bool:
        """Draw whether this fault happens now; `share` of its rate falls to this place."""
        if self.draws.random() >= float(getattr(ctx.options, name)) * share:
            return False
        self.count(name)
        return True

    def count(self, name: str) -> None:
        if ctx.options.counts:
            with Path(ctx.options.counts).open("a") as file:
                file.write(f"{name}\n")


addons = [SpoilS3()]
