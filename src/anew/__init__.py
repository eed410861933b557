"""anew keeps a served model current: it watches, retrains, proves, rolls out and rolls back."""

__all__ = ["__version__"]

__version__ = "0.1.0"
