"""What a job that ended without a result is told to have said last."""

from pathlib import Path

import pytest

from anew.adapters.job_record import JobRecord
from anew.adapters.job_supervisor import _last_words

_WARNED = """/lib/joblib/_multiprocessing_helpers.py:44: UserWarning: [Errno 38] Function not implemented.  No joblib
  warnings.warn("%s.  joblib will operate in serial mode" % (e,))
"""
_TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nValueError: no rows\n'


@pytest.mark.parametrize(
    ("said", "last"),
    [
        ("", "it said nothing"),
        (_WARNED, "it said nothing"),
        (_TRACE + _WARNED, "ValueError: no rows"),
        (_WARNED + "Fatal Python error: Segmentation fault\n\n", "Fatal Python error: Segmentation fault"),
        ("terminate called: bad_alloc\n" + _WARNED.rstrip("\n"), "terminate called: bad_alloc"),
    ],
)
def test_it_is_the_last_line_that_is_no_warning(tmp_path: Path, said: str, last: str) -> None:
    (tmp_path / "stderr.log").write_text(said)
    assert _last_words(JobRecord(tmp_path)) == last
