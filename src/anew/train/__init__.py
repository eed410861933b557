"""A request in, a training plan out: span, seed, hold-out."""

from anew.train._stage import Train, TrainState

__all__ = ["Train", "TrainState"]
