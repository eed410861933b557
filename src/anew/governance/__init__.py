"""Who may, when not, and the record of it."""

from anew.governance._access import PERMISSIONS, may
from anew.governance._stage import Governance, GovernanceState

__all__ = ["PERMISSIONS", "Governance", "GovernanceState", "may"]
