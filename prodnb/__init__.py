"""From MVP to production: every question asked of a machine-learning model is a notebook."""

__version__ = "0.1.0"

_PUBLIC = {
    "check_quality": "prodnb.quality",
    "check_drift": "prodnb.drift",
    "check_watch": "prodnb.watch",
    "drift_statistic": "prodnb.drift_statistics",
    "check_integrity": "prodnb.integrity",
    "check_explainability": "prodnb.explainability",
    "check_cost": "prodnb.cost",
    "explore_drift": "prodnb.explorer",
    "find_errors": "prodnb.cells",
    "Roles": "prodnb.roles",
}
__all__ = [
    "Roles",
    "__version__",
    "check_cost",
    "check_drift",
    "check_explainability",
    "check_integrity",
    "check_quality",
    "check_watch",
    "drift_statistic",
    "explore_drift",
    "find_errors",
]


def __getattr__(name: str):
    """Import a check when it is first named, so that `import prodnb` stays light."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'prodnb' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
