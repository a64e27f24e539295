"""What is said of bad arguments."""

from typing import Self

import pytest
from pydantic import BaseModel, ValidationError, model_validator

from patchworks_deployments.model.values import faults


class _Pair(BaseModel):
    one: int = 0
    two: int = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.one > self.two:
            raise ValueError("one is larger than two")
        return self


def test_a_fault_of_no_single_argument_is_told_without_a_name() -> None:
    """As where two of them make no sense together."""
    with pytest.raises(ValidationError) as caught:
        _Pair(one=2, two=1)
    assert faults(caught.value) == "one is larger than two"
    with pytest.raises(ValidationError) as caught:
        _Pair.model_validate({"one": "x"})
    assert faults(caught.value).startswith("one: must be a valid integer")
