"""Who may, when not, and the record of it."""

from anew.governance._access import PERMISSIONS, may
from anew.governance._stage import Governance
from anew.governance._state import GovernanceState
from anew.governance.approvals import PROMOTION

__all__ = ["PERMISSIONS", "PROMOTION", "Governance", "GovernanceState", "may"]
