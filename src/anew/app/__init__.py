"""Settings into a wired loop: the only place that names adapters."""
