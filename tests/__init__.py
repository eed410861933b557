"""Tests, mirroring the tree of `src/anew`."""
