"""The names of the jobs that an effect has: the id of the fact that asks for it, and what each is for."""

__all__ = ["is_later", "job_ids"]

_BESIDE, _BLEND = "-beside", "-blend"


def job_ids(id: str) -> tuple[str, str, str]:
    """Return the ids of all jobs that the effect of the fact `id` may have, in the order in which they run.

    A training has one that fits its candidate. Where its plan has two spans, one that fits the other model, and one
    that makes the candidate of both, come after it.
    """
    return id, f"{id}{_BESIDE}", f"{id}{_BLEND}"


def is_later(id: str) -> bool:
    """Is this the id of a job that comes after another of the same effect?"""
    return id.endswith((_BESIDE, _BLEND))
