"""Fold: where every version stands."""

from anew.registry._fold import Registry, RegistryState, Standing, VersionRecord

__all__ = ["Registry", "RegistryState", "Standing", "VersionRecord"]
