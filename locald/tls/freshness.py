"""The daemon's part in the roots that children read: to make them anew while those children run."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from locald.errors import LocaldError
from locald.tls import environment, store

__all__ = ["keep_fresh"]

log = logging.getLogger("locald.tls")

LOOK_S = 60.0  # a look is four calls of stat(2); roots change once a month


async def keep_fresh(folder: Path) -> None:
    """See to it, once a minute, that what environment.py has made in the authority's folder is of the
    present roots.  Runs until it is cancelled; what cannot be done is in the log, once."""
    bundle, said = folder / store.BUNDLE, ""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            if bundle.exists() and await asyncio.to_thread(environment.refresh, folder):
                log.info("the roots have changed: %s is made anew", bundle)
            said = ""
        except (OSError, LocaldError) as error:
            if str(error) != said:
                log.warning("the roots may have changed, and %s is as it was: %s", bundle, error)
            said = str(error)
