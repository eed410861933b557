"""Fold: where every version stands."""

from anew.registry._fold import ALIASES, Registry, RegistryState, Standing, VersionRecord

__all__ = ["ALIASES", "Registry", "RegistryState", "Standing", "VersionRecord"]
