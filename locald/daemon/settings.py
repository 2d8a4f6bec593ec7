"""config.toml, read from where it lies."""

from __future__ import annotations

from pathlib import Path

from locald import config
from locald.errors import SettingsError

__all__ = ["read"]


def read(path: Path) -> config.Config:
    """What the user's file says.  A broken one is an error: to serve without a part of it would be a guess."""
    try:
        return config.parse(path.read_bytes().decode(), str(path))
    except FileNotFoundError:
        return config.Config()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8: byte {error.start}", f"edit {path}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", f"ls -l {path}") from None
