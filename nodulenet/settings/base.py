"""The base class of all sections of the config, and types for ranges of numbers."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
Grey = Annotated[int, Field(ge=0, le=255)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Factor = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]
StageName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
FoldName = Annotated[str, Field(pattern="^fold(0|[1-9][0-9]*)$")]


class Section(BaseModel):
    """A section of the config: no other keys, no coercion of types, no change afterwards."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        defer_build=True,  # every start of Snakemake imports this module
        validate_default=True,  # a default and the same value in a file are then equal when written
        use_attribute_docstrings=True,
    )

    def plain(self, *names: str) -> dict[str, Any]:
        """The values, all or those named, as numbers, strings, lists and dictionaries.

        The order is that of the class, so that equal settings give equal text.
        """
        return self.model_dump(mode="json", include=set(names) or None)
