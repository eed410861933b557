"""A section of `anew.yaml`: it knows all its keys."""

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

__all__ = ["Section"]


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
