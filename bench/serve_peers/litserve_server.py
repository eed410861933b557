"""A LitServe server of one LightGBM model: MODEL_FILE PORT BATCH."""

import sys

import lightgbm
import litserve
import numpy as np


class Scorer(litserve.LitAPI):
    """Answers rows."""

    def setup(self, _device):
        """Load."""
        self.model = lightgbm.Booster(model_file=sys.argv[1])

    def decode_request(self, request):
        """Read a row."""
        return np.array(request["input"], dtype=np.float64)

    def predict(self, x):
        """Return a probability for each row."""
        return self.model.predict(np.atleast_2d(x), num_threads=1)

    def encode_response(self, output):
        """Say it."""
        return {"output": np.atleast_1d(output).tolist()}


if __name__ == "__main__":
    batch = int(sys.argv[3])
    api = Scorer(max_batch_size=batch, batch_timeout=0.001) if batch > 1 else Scorer()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False, log_level="error"
    )
