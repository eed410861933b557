"""A Ray Serve deployment of one LightGBM model: MODEL_FILE PORT BATCH."""

import logging
import sys
import time

import lightgbm
import numpy as np
import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=256, logging_config={"enable_access_log": False})
class Scorer:
    """Answers rows."""

    def __init__(self, file: str, batch: int) -> None:
        self.model = lightgbm.Booster(model_file=file)
        self.batch = batch

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def together(self, rows: list) -> list:
        """Answer several requests at once."""
        return self.model.predict(np.concatenate(rows), num_threads=1).tolist()

    async def __call__(self, request: Request) -> dict:
        """Answer one request."""
        x = np.atleast_2d(np.array((await request.json())["input"], dtype=np.float64))
        if self.batch > 1:
            return {"output": [await self.together(x)]}
        return {"output": self.model.predict(x, num_threads=1).tolist()}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(Scorer.bind(sys.argv[1], int(sys.argv[3])), route_prefix="/")
    while True:
        time.sleep(60)
