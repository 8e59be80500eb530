"""The one error that means: the input is wrong, and this is what would be right."""


class ConfigError(ValueError):
    """An option has a value it cannot have.

    The message names the option, the value and what would be right, in one line. The command
    line prints it and exits with code 2.
    """


def require(condition: bool, option: str, value: object, right: str) -> None:
    """Raise `ConfigError` naming `option`, `value` and what would be right unless `condition`."""
    if not condition:
        raise ConfigError(f"{option}={value!r}: {right}")
