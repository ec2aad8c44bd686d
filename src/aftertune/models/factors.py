"""Which factor of a configuration is a number that was measured?"""

from typing import Any


def named_factor(config: Any, measured: float) -> float:
    """The number nearest to the one measured, of 1 and the configuration's factors and what they go into 1.

    Factors are its numbers whose names speak of a scale or a multiplier, such as Granite's ``residual_multiplier``.
    """
    found = [value for name, value in numbers_of(config) if "scal" in name or "mult" in name]
    return min([1.0, *found, *(1 / value for value in found)], key=lambda number: abs(number - measured))


def numbers_of(config: Any) -> list[tuple[str, float]]:
    """The numbers of a configuration that are not 0, with their names."""
    found = config.to_dict().items()
    return [(name, float(value)) for name, value in found if type(value) in (int, float) and value]
