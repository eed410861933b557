"""A BentoML service of one LightGBM model; `BATCH` in the environment makes it gather requests."""

import os

import bentoml
import lightgbm
import numpy as np

MODEL = lightgbm.Booster(model_file=os.environ["MODEL_FILE"])

if os.environ.get("BATCH"):

    @bentoml.service(workers=1, traffic={"timeout": 30})
    class Scorer:
        """Answers several requests at once."""

        @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
        def predict(self, x: np.ndarray) -> np.ndarray:
            """Return a probability for each row."""
            return MODEL.predict(x, num_threads=1)

else:

    @bentoml.service(workers=1, traffic={"timeout": 30})
    class Scorer:
        """Answers requests one by one."""

        @bentoml.api
        async def predict(self, x: np.ndarray) -> np.ndarray:
            """Return a probability for each row."""
            return MODEL.predict(x, num_threads=1)
