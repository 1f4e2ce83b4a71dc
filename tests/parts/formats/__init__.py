"""Bytes by real libraries that are too heavy to install for the tests: a maker each, what it wrote, and its packages."""

PACKAGES = {
    "azureml": ("azureml-ai-monitoring==1.0.0", "pandas==2.3.3"),
    "bentoml": ("bentoml==1.4.40", "pandas==2.3.3"),
    "feast": ("feast==0.67.0", "pyarrow==26.0.1"),
    "mlflow": ("mlflow==3.17.2", "numpy==2.4.6", "pandas==3.1.1"),
    "kserve": ("kserve==0.21.0", "numpy==2.4.6", "pandas==2.3.3"),
    "mlserver": ("mlserver==1.7.1", "numpy==2.4.6", "pandas==3.1.1"),
}
"""What the environment of a maker holds, by name."""
