"""One model made of two that were fitted on two spans of history."""

from anew.domain.errors import TrainingError
from anew.loop.adopted import ADOPTED
from anew.loop.training import Draft, Kit
from anew.ports.model_format import Blending, Formats
from anew.ports.predictor import Predictor

__all__ = ["blended_draft", "can_blend"]


def can_blend(kept_as: str, formats: Formats, *, wanted: bool = True) -> bool:
    """Can two models that are kept in the format of this name answer as one, where that is `wanted`?"""
    return wanted and isinstance(formats.named(kept_as), Blending)


def blended_draft(alone: Predictor, beside: Predictor, weight: float, kit: Kit, *, search: bytes = b"") -> Draft:
    """Make the model that says the mean of two, `weight` of it what the first says; `search` is the first one's record.

    Raises
    ------
    TrainingError
        They do not go together, or their format cannot blend.
    """
    first, second = alone.manifest, beside.manifest
    if ADOPTED in first.params:
        raise TrainingError("error", "the model was brought, and answers as it was brought")
    if (first.format, first.inputs, first.classes) != (second.format, second.inputs, second.classes):
        raise TrainingError("error", "the two models differ in their format, inputs or classes")
    kept_as = kit.formats.named(first.format)
    if not isinstance(kept_as, Blending):
        raise TrainingError("error", f"models kept as {first.format} cannot be made one")
    model = kept_as.blend([alone.model, beside.model], [weight, 1.0 - weight])
    return Draft(
        format=kept_as.name,
        model=kept_as.encode(model),
        inputs=first.inputs,
        classes=first.classes,
        params=first.params,
        search=search,
    )
