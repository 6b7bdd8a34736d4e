"""Hypothesis without its deadline: no test of ours asserts a wall time."""

from hypothesis import settings

settings.register_profile('no_deadline', deadline=None)
settings.load_profile('no_deadline')
