"""Answer requests, split traffic, shadow, record: the hot path, and the only place that is asynchronous."""
