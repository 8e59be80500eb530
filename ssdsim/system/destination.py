"""Checks and locks output folders and files before any work starts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from warnings import catch_warnings

from ssdsim.errors import ConfigError, require

LOCK = ".lock"


def named(option: str, value: object) -> Path:
    """Return the path that an option names.

    Raises
    ------
    ConfigError
        It is no text, empty, or not a name that a file can have.

    """
    right = "needs the name of a directory or file, as text: ./1 is one, 1 is a number"
    require(isinstance(value, str | Path), option, value, right)
    text = str(value)
    require(bool(text.strip()), option, text, "is empty; name where results shall go")
    try:
        text.encode()
    except UnicodeEncodeError:
        right = "needs a name that can be written in UTF-8"
        raise ConfigError(f"{option}={text!a}: {right}") from None
    require("\0" not in text, option, text, "no name has a NUL in it")
    return Path(text)


def folder(option: str, value: object) -> Path:
    """Return the directory that an option names, without making it.

    Raises
    ------
    ConfigError
        As `named`; or it is something else than a directory, or cannot be written to.

    """
    path = named(option, value)
    with writing(option, path):
        path.exists()  # the name may be too long
        there = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
        if not there.is_dir():
            raise NotADirectoryError(0, "Not a directory")
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(0, "Permission denied")
    return path


def own_folder(option: str, value: object) -> Path:
    """Return the same of a directory that holds nothing else than what is written to it.

    Raises
    ------
    ConfigError
        As `folder`; or it is the current directory, or one above it.

    """
    path, here = folder(option, value), Path.cwd()
    right = "is the current directory or one above it; choose another directory"
    require(Path(os.path.realpath(path)) not in (here, *here.parents), option, str(path), right)
    return path


def file(option: str, value: object) -> Path:
    """Return the file that an option names, without making it.

    Raises
    ------
    ConfigError
        As `named`; or it is a directory or a device, or cannot be written to.

    """
    path = named(option, value)
    folder(option, path.parent)
    with writing(option, path):
        if path.is_dir():
            raise IsADirectoryError(0, "Is a directory")
        if os.path.lexists(path) and not (path.is_file() and os.access(path, os.W_OK)):
            raise PermissionError(0, "No file, or one that may not be changed")
    return path


def make(option: str, path: Path) -> None:
    """Make a folder where there is none yet.

    Raises
    ------
    ConfigError
        It cannot be made, or not written to.

    """
    with writing(option, path):
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass


@contextmanager
def taken(option: str, path: Path) -> Iterator[None]:
    """Make a folder and keep other processes of this project out of it.

    A process that is killed lets go of it. At the end it is removed if it was made and is empty.

    Raises
    ------
    ConfigError
        It cannot be made or written to, or another process has taken it.

    """
    made = [each for each in (path, *path.absolute().parents) if not each.exists()]
    try:
        make(option, path)
        with _locked(option, path):
            yield
    finally:
        for each in made:
            with suppress(OSError):  # where there is something in it now
                each.rmdir()


@contextmanager
def _locked(option: str, path: Path) -> Iterator[None]:
    with catch_warnings(action="ignore"):  # that a system has no kernel locks for files
        from filelock import FileLock, Timeout

    lock = FileLock(path / LOCK)
    with writing(option, path):
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            right = "another process is writing there; choose another directory"
            raise ConfigError(f"{option}={path}: {right}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # where open files cannot be removed
            (path / LOCK).unlink()
        lock.release()


@contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Turn a disk's complaint into a `ConfigError` that names the option."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        right = f"cannot be written ({reason}); choose another directory"
        raise ConfigError(f"{option}={path}: {right}") from error
