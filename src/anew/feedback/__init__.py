"""Join labels; say which windows are closed and scored."""

from anew.feedback._stage import Feedback, FeedbackState, Scored

__all__ = ["Feedback", "FeedbackState", "Scored"]
