"""Labels meet their predictions, and windows of event time close: pure functions."""
