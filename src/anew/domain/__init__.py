"""Frozen values, facts and errors: the words of anew, in the standard library alone."""
