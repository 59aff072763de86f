"""What a user declares of an input whose records hold images."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
WHOLE: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


class ImageSpec(BaseModel):
    """`[inputs.NAME.image]`: how large an image may be, and which part of it is looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pixels_max: int = Field(ge=1, le=1 << 30, strict=True)
    """The most pixels that an image's header may promise: one that promises more is refused before it is decoded."""
    crop: tuple[Fraction, Fraction, Fraction, Fraction] = WHOLE
    """The region of interest: left, top, right, bottom, as fractions of the image's width and height."""

    @model_validator(mode="after")
    def _has_an_area(self) -> "ImageSpec":
        left, top, right, bottom = self.crop
        if left >= right or top >= bottom:
            raise ValueError(
                f"crop: found {list(self.crop)}, expected [left, top, right, bottom], left < right and top < bottom"
            )
        return self
