"""The configuration: one YAML file, scalars overridable by environment."""

from monitor.settings.loading import ConfigError, load_settings, mask_url, masked
from monitor.settings.schema import Settings, show_duration

__all__ = ["ConfigError", "Settings", "load_settings", "mask_url", "masked", "show_duration"]
