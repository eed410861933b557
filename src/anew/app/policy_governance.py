"""What `governance` of `anew.yaml` may say: who has to consent, and when nothing is promoted."""

from typing import Annotated, Literal

from pydantic import Field

from anew.app.policy_section import Section

__all__ = ["ApprovalsPolicy", "GovernancePolicy"]

Persons = Annotated[int, Field(ge=0, le=20)]


class ApprovalsPolicy(Section):
    """How many persons have to approve a promotion; of those that apply, the greatest number counts."""

    promotion: Persons = Field(default=0, description="persons who approve every candidate")
    high_severity: Persons = Field(default=0, description="where an alert of severity high or critical asked for it")
    sensitive_data: Persons = Field(default=0, description="where columns.sensitive are declared")
    advisory: Persons = Field(default=0, description="where a gate that only advises did not pass")
    overridden: Persons = Field(default=0, description="where a person overrode a gate")


class GovernancePolicy(Section):
    """Who has to consent, and when nothing is promoted."""

    approvals: ApprovalsPolicy = ApprovalsPolicy()
    expires: str = Field(default="7d", description="wall time that persons have to approve")
    four_eyes: Literal["required", "none"] = Field(
        default="required",
        description="required: neither who asked for the retrain nor who overrode a gate may approve",
    )
    approvers: tuple[str, ...] = Field(default=(), description="who may approve; empty: any approver")
    freeze: tuple[str, ...] = Field(
        default=(), description="when nothing is promoted: Fri 16:00 - Mon 08:00 Europe/Berlin, or with dates"
    )
    freeze_holds: tuple[Literal["promotions", "retrains"], ...] = Field(
        default=("promotions",), description="what waits for the end of a freeze; promotions always do"
    )
