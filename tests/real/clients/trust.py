"""python trust.py LIBRARY CAFILE URL...: ask each with this library and no roots but those of the file; prints a JSON
list of "ok" and errors.  With "-" for CAFILE the library decides, as it does in a program that says nothing."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import urllib.request

library, cafile, *urls = sys.argv[1:]
context = ssl.create_default_context(cafile=None if cafile == "-" else cafile)


def by_urllib(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    with opener.open(url, timeout=30) as answer:
        assert answer.read() == b"hello"


def by_requests(url: str) -> None:
    import requests

    assert requests.get(url, verify=True if cafile == "-" else cafile, timeout=30).content == b"hello"


def by_httpx(url: str) -> None:
    import httpx

    with httpx.Client(verify=True if cafile == "-" else context, timeout=30) as client:
        assert client.get(url).content == b"hello"


def by_aiohttp(url: str) -> None:
    import aiohttp

    async def ask() -> None:
        trust = True if cafile == "-" else context
        async with aiohttp.ClientSession() as session, session.get(url, ssl=trust) as answer:
            assert await answer.read() == b"hello"

    asyncio.run(ask())


def attempt(url: str) -> str:
    try:
        globals()[f"by_{library}"](url)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


print(json.dumps([attempt(url) for url in urls]))
