"""The errors that users see: the input is wrong, or a run cannot go on."""


class ConfigError(ValueError):
    """An option has a value it cannot have.

    The message names the option, the value and what would be right, in one line. The command
    line prints it and exits with code 2.
    """


class RunError(RuntimeError):
    """A run cannot go on, though its input was right: a device, a worker or a disk failed.

    The command line prints the one line of its message, says where what was computed is, and
    exits with code 1.
    """


def require(condition: bool, option: str, value: object, right: str) -> None:
    """Raise `ConfigError` naming `option`, `value` and what would be right unless `condition`."""
    if not condition:
        raise ConfigError(f"{option}={value!r}: {right}")
