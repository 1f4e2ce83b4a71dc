"""`--property` and `--ca-file`: how a broker that asks for more than its address is reached, as under `kafka` in the configuration."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from monitor.settings import ConfigError
from monitor.settings.loading import explain
from monitor.settings.schema import SECRET_FILES, KafkaSettings

# fewer words than hide a value where a configuration is shown: the address that gives out tokens is no secret
SECRETS = ("password", "passphrase", "secret", "key.pem", "jaas", "credential", "oauthbearer.config")
FILES = {name: file for file, name in SECRET_FILES.items()}


def kafka_settings(servers: str, properties: Sequence[str], ca_file: Path | None) -> KafkaSettings:
    """What the options say, with whole paths. Raises ConfigError."""
    named = dict(map(parse_property, properties))
    try:
        return KafkaSettings(bootstrap_servers=servers, ca_file=ca_file and ca_file.absolute(), properties=named)
    except ValidationError as error:
        raise ConfigError("\n".join(f"--kafka: {explain(problem)}" for problem in error.errors())) from None


def parse_property(text: str) -> tuple[str, str]:
    """`NAME=VALUE`, a file's name made whole. Raises ConfigError, also for a secret: a command line is no place for one."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigError("--property: must be NAME=VALUE, such as security.protocol=SASL_SSL")
    if name in SECRET_FILES:
        return name, str(Path(value).expanduser().absolute())
    if any(word in name.lower() for word in SECRETS):
        way = (
            f"write it to a file and say --property {FILES[name]}=FILE"
            if name in FILES
            else "write it into kafka.properties of a configuration of your own, then `driftd reference fit --config`"
        )
        raise ConfigError(f"--property {name}: is a secret, and a command line can be read by others; {way}")
    return name, value


def lines_of(broker: KafkaSettings, home: Path) -> Iterator[tuple[str, str]]:
    """The keys below `kafka.properties`, files relative to the configuration where they are beside it."""
    for name, value in broker.properties.items():
        yield name, beside(Path(str(value)), home) if name in SECRET_FILES else str(value)


def beside(path: Path, home: Path) -> str:
    """A file as a configuration in a directory names it."""
    return str(path.relative_to(home.absolute()) if path.is_relative_to(home.absolute()) else path)
