"""Bytes by real libraries that are too heavy to install for the tests: a maker each, what it wrote, and its packages."""

PACKAGES = {
    "kserve": ("kserve==0.21.0", "numpy==2.4.6", "pandas==2.3.3"),
    "mlserver": ("mlserver==1.7.1", "numpy==2.4.6", "pandas==3.1.1"),
}
"""What the environment of a maker holds, by name."""
