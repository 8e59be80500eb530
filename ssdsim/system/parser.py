"""Argument parsing whose errors are one line like all others."""

from argparse import ArgumentParser
from typing import NoReturn

from ssdsim.errors import ConfigError


class Parser(ArgumentParser):
    """Raises `ConfigError` where argparse would print its usage and a line, and end."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong, without argparse's own beginning."""
        raise ConfigError(message.removeprefix("argument "))
