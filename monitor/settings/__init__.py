"""The configuration: one YAML file, scalars overridable by environment."""

from monitor.sections import show_duration
from monitor.settings.loading import ConfigError, find_config, load_settings, mask_url, masked, read_yaml
from monitor.settings.schema import Settings

__all__ = [
    "ConfigError",
    "Settings",
    "find_config",
    "load_settings",
    "mask_url",
    "masked",
    "read_yaml",
    "show_duration",
]
