"""How many examples Hypothesis makes up: a tenth in the fast lane."""

from hypothesis import settings

WHOLE, FAST = "whole", "fast"
settings.register_profile(WHOLE, deadline=None)  # a busy machine is no failure
settings.register_profile(FAST, deadline=None, max_examples=10)


def examples(number: int) -> settings:
    """So many in the whole lane, and as many of them in the fast one as its profile has in a hundred."""
    return settings(max_examples=number * settings().max_examples // 100)
