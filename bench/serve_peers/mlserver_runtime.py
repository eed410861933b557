"""An MLServer runtime that asks the Booster itself: its own LightGBM runtime, with one thread."""

import lightgbm
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Scorer(MLModel):
    """Answers tensors."""

    async def load(self) -> bool:
        """Load."""
        self.booster = lightgbm.Booster(model_file=self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return a probability for each row."""
        said = self.booster.predict(NumpyCodec.decode_input(payload.inputs[0]), num_threads=1)
        output = NumpyCodec.encode_output("output", said)
        return InferenceResponse(model_name=self.name, outputs=[output])
