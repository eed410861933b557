"""Tests of `anew.stats`."""
