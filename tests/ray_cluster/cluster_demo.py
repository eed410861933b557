"""The demo with record, lake, artifacts and trainings elsewhere; ``python -m tests.ray_cluster.cluster_demo [FOLDER]``.

It starts a PostgreSQL server, a server that speaks S3 and a Ray cluster on loopback, and ends them with the demo, whose
exit code it returns; Ctrl-C ends all of it.
"""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.postgres_server import PostgresServer
from tests.ray_cluster.ray_bed import RayBed
from tests.s3_server import S3Server

__all__ = ["main"]

_LIMIT_S = 1200


def main(folder: str, *told: str) -> int:
    """Run the demo in `folder`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        print("starting PostgreSQL, an S3 server and Ray on loopback", file=sys.stderr)
        record = PostgresServer()
        stack.callback(record.close)
        bucket = S3Server()
        stack.callback(bucket.close)
        cluster = RayBed()
        stack.callback(cluster.stop)
        cluster.start()
        stores = {
            "database": record.url,
            "lake": f"{bucket.bucket()}/bikes",
            "artifacts": f"{bucket.bucket()}/bikes",
            "compute": cluster.address,
        }
        lines = [f"--store={name}={place}" for name, place in stores.items()]
        demo = subprocess.Popen(
            [sys.executable, "-m", "anew.cli", "demo", "--folder", folder, f"--limit={_LIMIT_S}", *lines, *told],
            env={**os.environ, **bucket.environment, **cluster.environment},
            process_group=0,  # Ctrl-C comes to it once, from us
        )
        stack.callback(_end, demo)
        return demo.wait()


def _end(demo: "subprocess.Popen[bytes]") -> None:
    """Let the demo end its own programs before the servers that they need."""
    if demo.poll() is None:
        demo.send_signal(signal.SIGINT)
        try:
            demo.wait(40)
        except subprocess.TimeoutExpired:
            demo.kill()
            demo.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(Path("anew-demo-cluster")), *sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(130)
