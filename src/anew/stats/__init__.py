"""Mathematics: profiles, distances, intervals, tests that may be read at every look, and losses.

Pure functions and frozen values: no clock, no chance without a seed, no files, no logging.
"""

__all__: list[str] = []
