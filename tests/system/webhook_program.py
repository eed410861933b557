"""A receiver of webhooks as its user would write it, with nothing of anew: ``webhook_program.py PORT FILE SECRET``.

It holds each message to Standard Webhooks (signature over id, timestamp and body; five minutes), keeps each id once,
and writes what it took to FILE, one event a line, before it answers; what it refused, to FILE.refused.
"""

import base64
import hashlib
import hmac
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT, FILE, KEY = int(sys.argv[1]), Path(sys.argv[2]), base64.b64decode(sys.argv[3].removeprefix("whsec_"))
SEEN = {line.partition(b" ")[0] for line in FILE.read_bytes().splitlines()} if FILE.exists() else set[bytes]()


class Handler(BaseHTTPRequestHandler):
    """Takes one message."""

    def do_POST(self) -> None:
        """Verify, keep, answer."""
        body = self.rfile.read(int(self.headers["content-length"]))
        id, stamp = self.headers["webhook-id"] or "", self.headers["webhook-timestamp"] or "0"
        signed = hmac.new(KEY, f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
        given = (self.headers["webhook-signature"] or "").removeprefix("v1,")
        good = hmac.compare_digest(base64.b64encode(signed).decode(), given) and abs(time.time() - int(stamp)) < 300
        if good and id.encode() not in SEEN:
            with FILE.open("ab") as opened:
                opened.write(id.encode() + b" " + body + b"\n")
                opened.flush()
                os.fsync(opened.fileno())
            SEEN.add(id.encode())
        if not good:
            with FILE.with_suffix(".refused").open("ab") as opened:
                opened.write(id.encode() + b"\n")
        self.send_response(204 if good else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's own name
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
