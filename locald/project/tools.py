"""Dev servers that ignore PORT, or refuse names: what is added to their command or their environment.  [pure]

Only what the user has not said: a command with a port of its own, or with $PORT in it, gets none from us.  What is
added is said, a line each.  Where a tool is not recognised, behind another script for one, the supervisor finds the
port that it really listens on.

`make tools` starts them for real, in their present versions: docs/devservers.md says what came of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from locald.project.model import Command
from locald.project.words import Reached, Scripts, appended, reach

__all__ = ["Supply", "Tool", "recognise", "supply"]

PORT = r"--port(=.*)?"
SHORT = rf"{PORT}|-p\d*"
ANY_PORT = re.compile(r"\$(PORT\b|\{PORT\b)")


class Tool(Struct, frozen=True):
    """One dev server.  Of the words after its program, one must be in ``verbs``, if there are any, and none in
    ``others``; one that matches ``given`` is a port of the user's."""

    name: str
    programs: tuple[str, ...]
    verbs: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    given: str = PORT
    words: str = ""  # added where no port is given
    host: str = ""  # added with them, if its first word is not there
    port_environ: dict[str, str] = {}  # set where no port is given
    port_unset: tuple[str, ...] = ()  # variables that it prefers to PORT
    always: str = ""  # added always
    environ: dict[str, str] = {}  # set always
    # For a name that is not below localhost, which all of these take by themselves.
    name_words: str = ""
    name_environ: dict[str, str] = {}


VITE_NAMES = {"__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS": "{name}"}
STRICT = "--port {port} --strictPort"
LOOPBACK = "--host 127.0.0.1"
# Its page looks for hot reload at the address that the server listens on, past the proxy; this means "as the page".
WEBPACK_SOCKET = "--client-web-socket-url auto://0.0.0.0:0/ws"

TOOLS = (
    Tool("vite", ("vite",), others=("build", "optimize"), words=STRICT, host=LOOPBACK, name_environ=VITE_NAMES),
    Tool("vitepress", ("vitepress",), others=("build", "init"), words=STRICT, host=LOOPBACK,
         name_environ=VITE_NAMES),
    Tool("react-router", ("react-router",), ("dev",), words=STRICT, host=LOOPBACK, name_environ=VITE_NAMES),
    Tool("remix", ("remix",), ("vite:dev",), words=STRICT, host=LOOPBACK, name_environ=VITE_NAMES),
    Tool("nuxt", ("nuxt", "nuxi"), ("dev",), given=SHORT, port_unset=("NUXT_PORT", "NITRO_PORT", "HOST"),
         name_environ=VITE_NAMES),
    Tool("astro", ("astro",), ("dev",), ("stop", "status", "logs"), words="--port {port}", host=LOOPBACK,
         environ={"ASTRO_DEV_BACKGROUND": "1"}, name_words="--allowed-hosts {name}"),
    Tool("astro preview", ("astro",), ("preview",), ("stop", "status", "logs"), words="--port {port}", host=LOOPBACK,
         environ={"ASTRO_PREVIEW_BACKGROUND": "1"}, name_words="--allowed-hosts {name}"),
    Tool("ng", ("ng",), ("serve", "s", "dev"), words="--port {port}", host=LOOPBACK,
         environ={"NG_CLI_ANALYTICS": "false"},  # else it asks, and ends unanswered
         name_environ=VITE_NAMES),
    Tool("expo", ("expo",), ("start",), given=SHORT, words="--port {port}"),
    Tool("react-native", ("react-native",), ("start",), words="--port {port}"),
    Tool("webpack-dev-server", ("webpack-dev-server",), words="--port {port}", host=LOOPBACK, always=WEBPACK_SOCKET,
         name_words="--allowed-hosts {name}"),
    Tool("webpack serve", ("webpack", "webpack-cli"), ("serve", "server", "s"), words="--port {port}", host=LOOPBACK,
         always=WEBPACK_SOCKET, name_words="--allowed-hosts {name}"),
    Tool("rspack", ("rspack",), ("dev", "serve", "server", "s"), words="--port {port}"),
    Tool("rsbuild", ("rsbuild",), ("dev", "preview"), words="--port {port} --strict-port", host=LOOPBACK),
    Tool("react-scripts", ("react-scripts",), ("start",), environ={"WDS_SOCKET_PORT": "0"}),  # as webpack's
    Tool("docusaurus", ("docusaurus",), ("start", "serve"), given=SHORT, words="--port {port}", host=LOOPBACK),
    Tool("storybook", ("storybook",), ("dev",), given=SHORT, words="--port {port} --exact-port", host=LOOPBACK),
    Tool("eleventy", ("eleventy",), ("--serve",), words="--port={port}"),
    Tool("json-server", ("json-server",), given=SHORT, words="--port {port}", host=LOOPBACK),
    Tool("browser-sync", ("browser-sync",), ("start",), words="--port {port}", host="--listen 127.0.0.1"),
    Tool("wrangler", ("wrangler",), ("dev",), words="--port {port}", host="--ip 127.0.0.1"),
    Tool("django", ("manage.py", "django-admin", "django"), ("runserver",), given=r"(.*:)?\d{2,5}",
         words="127.0.0.1:{port}"),
    Tool("flask", ("flask",), ("run",), given=SHORT, port_environ={"FLASK_RUN_PORT": "{port}"}),
    Tool("quart", ("quart",), ("run",), given=SHORT, words="--port {port}"),
    Tool("sanic", ("sanic",), given=rf"{SHORT}|-u|--unix(=.*)?", words="--port {port}"),
    Tool("litestar", ("litestar",), ("run",), given=rf"{SHORT}|-U|--uds(=.*)?|-F|--fd(=.*)?",
         port_environ={"LITESTAR_PORT": "{port}"}),
    Tool("uvicorn", ("uvicorn",), given=rf"{PORT}|--uds(=.*)?|--fd(=.*)?", port_environ={"UVICORN_PORT": "{port}"}),
    Tool("hypercorn", ("hypercorn",), given=r"-b.*|--(insecure-|quic-)?bind(=.*)?|-c.*|--config(=.*)?",
         words="--bind 127.0.0.1:{port}"),
    Tool("granian", ("granian",), given=rf"{PORT}|--uds(=.*)?", port_environ={"GRANIAN_PORT": "{port}"}),
    Tool("daphne", ("daphne",), given=rf"{SHORT}|-[ue].*|--(unix-socket|endpoint|fd)(=.*)?", words="-p {port}"),
    Tool("streamlit", ("streamlit",), ("run", "hello"), given=r"--server\.port(=.*)?",
         port_environ={"STREAMLIT_SERVER_PORT": "{port}"}, environ={"STREAMLIT_SERVER_HEADLESS": "true"}),
    Tool("marimo", ("marimo",), ("run", "edit", "tutorial"), given=SHORT, words="--port {port}"),
    Tool("jupyter", ("jupyter", "jupyter-lab", "jupyter-notebook"), ("lab", "notebook", "server"),
         given=rf"{PORT}|--ServerApp\.port(=.*)?", words="--port={port}",
         always="--ServerApp.local_hostnames={name}"),
    Tool("mkdocs", ("mkdocs",), ("serve",), given=r"-a.*|--dev-addr(=.*)?", words="--dev-addr 127.0.0.1:{port}"),
    Tool("sphinx-autobuild", ("sphinx-autobuild",), words="--port {port}"),
    Tool("http.server", ("http.server",), given=r"\d{2,5}", words="{port}", host="--bind 127.0.0.1"),
    Tool("artisan", ("artisan",), ("serve",), port_environ={"SERVER_PORT": "{port}"}),
    Tool("spring-boot", ("mvn", "mvnw", "gradle", "gradlew"), ("spring-boot:run", "bootRun"),
         given=r".*server\.port=.*", port_environ={"SERVER_PORT": "{port}"},
         environ={"SERVER_FORWARD_HEADERS_STRATEGY": "framework"}),
    Tool("rails", ("rails",), ("server", "s"), given=SHORT, environ={"RAILS_DEVELOPMENT_HOSTS": "{name}"}),
    Tool("hugo", ("hugo",), ("server", "serve"), given=SHORT, words="--port {port}",
         always="--baseURL={url} --appendPort=false --liveReloadPort={public}"),  # else its links go past the proxy
    Tool("jekyll", ("jekyll",), ("serve", "server", "s"), given=rf"{PORT}|-P.*", words="--port {port}"),
)  # fmt: skip


class Supply(Struct, frozen=True):
    """What a command becomes: ``environ`` has what is set, ``unset`` what is taken away."""

    command: Command
    environ: dict[str, str] = {}
    unset: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def recognise(command: Command, scripts: Scripts) -> Tool | None:
    """The dev server that a command starts in the end, None for one that is not known."""
    return _tool(reach(command, scripts).words)


def supply(command: Command, port: int, url: str, scripts: Scripts, given: Mapping[str, str]) -> Supply:
    """The command with what its tool needs to listen on ``port`` and to answer at ``url``; ``given`` are variables that
    the user has set for this service."""
    reached = reach(command, scripts)
    tool = _tool(reached.words)
    if tool is None:
        return Supply(command)
    place = urlsplit(url)
    name = place.hostname or ""
    public = place.port or (443 if place.scheme == "https" else 80)
    has_port = _has_port(tool, reached, given)
    parts: list[tuple[dict[str, str], tuple[str, ...], str]] = [(tool.environ, (tool.always,), "needs it here")]
    if not has_port:
        parts.append((tool.port_environ, (tool.words, tool.host if tool.words else ""), "ignores PORT"))
    if not name.endswith(".localhost"):
        parts.append((tool.name_environ, (tool.name_words,), "needs it for this name"))
    more: list[str] = []
    environ: dict[str, str] = {}
    notes: list[str] = []
    for variables, options, why in parts:
        words = [word for option in options if not _has(reached.words, option) for word in option.split()]
        words = [word.format(port=port, name=name, url=url, public=public) for word in words]
        more += words
        notes += [f"{' '.join(words)} added: {tool.name} {why}"] if words else []
        for key in (key for key in variables if key not in given):
            environ[key] = variables[key].format(port=port, name=name)
            notes.append(f"{key}={environ[key]} set: {tool.name} {why}")
    unset = () if has_port else tuple(key for key in tool.port_unset if key not in given)
    return Supply(appended(command, reached.before, more), environ, unset, tuple(notes))


def _has_port(tool: Tool, reached: Reached, given: Mapping[str, str]) -> bool:
    """Whether the user's own words say which port it is."""
    mine = re.compile(tool.given)
    if any(mine.fullmatch(word) for word in reached.words[1:]) or ANY_PORT.search(reached.text):
        return True
    return any(key in given or re.search(rf"\b{key}=", reached.text) for key in tool.port_environ)


def _tool(words: tuple[str, ...]) -> Tool | None:
    program, *rest = words or ("",)
    plain = [word for word in rest if not word.startswith("-")]
    for tool in TOOLS:
        verb = not tool.verbs or set(rest) & set(tool.verbs)
        if program in tool.programs and verb and not set(plain) & set(tool.others):
            return tool
    return None


def _has(words: tuple[str, ...], option: str) -> bool:
    """Whether the words have the first one of ``option``, a flag, already."""
    flag = re.split("[ =]", option)[0]
    return any(word == flag or word.startswith(f"{flag}=") for word in words)
