"""How many examples Hypothesis makes up: three fifths of what a test names, and a tenth in the fast lane."""

from hypothesis import settings

WHOLE, FAST = "whole", "fast"
settings.register_profile(WHOLE, deadline=None, max_examples=60)  # a busy machine is no failure
settings.register_profile(FAST, deadline=None, max_examples=10)


def examples(number: int) -> settings:
    """As many of so many as the lane's profile has in a hundred."""
    return settings(max_examples=number * settings().max_examples // 100)
