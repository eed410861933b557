"""A section of `anew.yaml`: it knows all its keys."""

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

__all__ = ["Section", "in_a_period"]


class Section(BaseModel):
    """A section that knows all its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what YAML makes of yes, no, on and off, which would pass for 1 and 0; not where it is asked for."""
        if info.field_name and cls.model_fields[info.field_name].annotation is bool:
            return value
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, bool):
                raise ValueError(f"{str(each).lower()} is a truth value; put words such as yes and no in quotes")
        return value


def in_a_period(value: object) -> object:
    """Return the value of an amount as it was written; raises what pydantic tells of a number without a period."""
    if isinstance(value, int | float):
        raise PydanticCustomError("amount", "write how many in which period, e.g. 20 per 1d")
    return value
