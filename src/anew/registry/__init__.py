"""Fold: where every version stands."""

from anew.registry._fold import ALIASES, DONE, Registry, RegistryState, Standing, VersionRecord

__all__ = ["ALIASES", "DONE", "Registry", "RegistryState", "Standing", "VersionRecord"]
