"""A process that fits and scores trials: reads attempts as lines of JSON, answers each with its loss or a sentence.

Started by `TrialPool` as ``-m anew.app.trial_worker ORDER PID [RECORD]``: given the records of a job, it takes on the
limits of that job and the confinement of its first step before anything of users is imported.
"""

import json
import os
import sys
from pathlib import Path

import polars as pl

from anew.adapters.job_record import JobRecord
from anew.adapters.job_worker import confine_step, die_with, limit
from anew.adapters.pipeline_module import load_pipeline
from anew.app.training_job import read_run, training_kit
from anew.loop.training_run import planned_pipeline, run_scores
from anew.ports.search import Attempt

__all__ = ["main"]


def main(order: Path, parent: int, record: JobRecord | None = None) -> int:
    """Answer until there is nothing more to read."""
    die_with(parent)
    if record is not None:
        job = record.job()
        limit(job.limits)
        confine_step(job, job.steps[0], record)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what user code prints is no answer
    run, kit = read_run(order), training_kit()
    previous = None
    if run.previous:
        previous = kit.loader.load(Path(run.previous), version="previous", digest=run.previous_digest).model
    scores = run_scores(run, pl.read_parquet(run.part), planned_pipeline(run, load_pipeline), kit, previous)
    for line in sys.stdin:
        (found,) = scores([Attempt(**json.loads(line))])
        answers.write(json.dumps(found) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), *(JobRecord(Path(each)) for each in sys.argv[3:])))
