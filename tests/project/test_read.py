"""locald.toml: what is taken, and what each mistake is answered with."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from locald.errors import LocaldError
from locald.project.model import File, Header, Ready, Service
from locald.project.read import _fields, read


def refusal(text: str) -> LocaldError:
    with pytest.raises(LocaldError) as caught:
        read(text, "/p/locald.toml")
    assert caught.value.exit_code == 1
    assert "/p/locald.toml" in caught.value.hint
    return caught.value


def test_annotations_are_compiled_once_for_all_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """msgspec does it at each call, which took 1.5 ms for each service of a file."""
    asked: list[type] = []
    fields = msgspec.structs.fields

    def counted(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
        asked.append(struct)
        return fields(struct)

    _fields.cache_clear()
    monkeypatch.setattr(msgspec.structs, "fields", counted)
    text = "".join(f'[services.s{i}]\ncommand = "x"\n[services.s{i}.ready]\ntcp = true\n' for i in range(20))
    assert len(read(text, "/p/locald.toml").services) == 20
    assert sorted(each.__name__ for each in asked) == ["Header", "Ready", "Service"]


def test_a_file_with_every_key() -> None:
    file = read(
        """
        [project]
        name = "shop"
        domain = "test"

        [services.web]
        command = "npm run dev -- --base ${services.api.url}"
        workdir = "web"
        env = { A = "1", "B" = "$PORT" }
        env_file = ["dev.env"]
        port = 3000
        port_env = "HTTP_PORT"
        host = "www"
        path = "/app/"
        strip = true
        wildcard = true
        protocol = "h2c"
        plain = true
        depends_on = ["api", "queue"]
        ready = { http = "/health", timeout = 5 }
        restart = "always"
        stop_signal = "SIGINT"
        stop_timeout = 2.5
        watch = ["src/**/*.py"]
        lazy = true
        idle_timeout = 900

        [services.api]
        command = ["serve", "--socket", "$SOCKET"]
        socket = true

        [services.queue]
        command = "work"
        port = "none"
        ready.log = "^listening"
        """,
        "locald.toml",
    )
    web = Service(
        "npm run dev -- --base ${services.api.url}", "web", {"A": "1", "B": "$PORT"}, ("dev.env",), 3000, False, "HTTP_PORT",
        "www", "/app", True, True, "h2c", True, ("api", "queue"), Ready(http="/health", timeout=5.0), "always", "INT", 2.5,
        ("src/**/*.py",), True, 900.0,
    )  # fmt: skip
    api = Service(("serve", "--socket", "$SOCKET"), socket=True, port=None)
    queue = Service("work", port=None, ready=Ready(log="^listening"))
    assert file == File(Header("shop", "test"), {"web": web, "api": api, "queue": queue})
    assert [service.serves for service in (web, api, queue)] == [True, True, False]


def test_one_line_is_enough() -> None:
    assert read('[services.web]\ncommand = "x"', "f").services == {"web": Service("x")}
    assert Service("x").port == "auto"


def test_a_timeout_alone_is_for_the_port() -> None:
    text = '[services.web]\ncommand = "x"\nready.timeout = 3'
    assert read(text, "f").services["web"].ready == Ready(tcp=True, timeout=3.0)


def test_what_comes_to_its_end_has_no_port_and_is_not_started_again_unless_that_is_said() -> None:
    once = Service("x", port=None, restart="never", ready=Ready(exit=True))
    assert read('[services.web]\ncommand = "x"\nready.exit = true', "f").services["web"] == once
    text = '[services.web]\ncommand = "x"\nport = "none"\nrestart = "on-failure"\nready = { exit = true, timeout = 3 }'
    again = Service("x", port=None, ready=Ready(exit=True, timeout=3.0))
    assert read(text, "f").services["web"] == again


W = '[services.web]\ncommand = "x"\n'  # two lines, so that what follows is on the third
MISTAKES = [
    ("[services\n", "locald.toml:1 is not TOML", "[services.web]"),
    ("a = 1\nb = \n", "locald.toml:2 is not TOML", ""),
    ("a = " + "[" * 2000, "nested too deep", ""),
    ("a = " + "9" * 5000, "is not TOML", ""),
    ("", "services: there is none", 'command = "npm run dev"'),
    ("services = 3", ":1: services: expected a table for each, got 3", ""),
    ("services.web = 3", ":1: services.web: expected a table, got 3", "[services.web] stands above"),
    ("project = 3\n" + W, ":1: project: expected a table, got 3", ""),
    ("[service.web]\n", ":1: service is no setting", "did you mean services?"),
    ("[project]\nnmae = 'a'\n", ":2: project.nmae is no setting", "did you mean name?"),
    ("[project]\nname = 'My Shop'\n" + W, ":2: project.name: 'My Shop' is no name in a URL", "did you mean my-shop?"),
    ("[project]\ndomain = '.test'\n" + W, ":2: project.domain: '.test' is no name", "did you mean test?"),
    ("[services.web]\n", ":1: services.web: it has no command", 'command = "npm run dev"'),
    ("[services.my_web]\ncommand = 'x'", ":1: services.my_web: no name of a service", "did you mean my-web?"),
    ("[services.'']\ncommand = 'x'", 'services."": no name of a service', ""),
    (W + "comand = 'y'", ":3: services.web.comand is no setting", "did you mean command?"),
    (W + "depends = ['web']", ":3: services.web.depends is no setting", "did you mean depends_on?"),
    ("[services.web]\ncommand = 3", ":2: services.web.command: expected a string for the shell, or a list", '"3"'),
    ("[services.web]\ncommand = ['a', 3]", ":2: services.web.command[1]: expected a string, got 3", '"3"'),
    ("[services.web]\ncommand = ''", ":2: services.web.command: it is empty", ""),
    ("[services.web]\ncommand = []", ":2: services.web.command: it is empty", ""),
    ("[services.web]\ncommand = ['', 'a']", ":2: services.web.command: it is empty", ""),
    ('[services.web]\ncommand = "a\\u0000b"', ":2: services.web.command: it has a NUL", ""),
    (W + "port = 0", ':3: services.web.port: expected a port from 1 to 65535, "auto" or "none", got 0', ""),
    (W + "port = 65536", ":3: services.web.port: expected a port from 1 to 65535", ""),
    (W + "port = true", ":3: services.web.port: expected a port", "got true"),
    (W + "port = 99999999999999999999", ":3: services.web.port: expected a port", ""),
    (W + "port = '3000'", ":3: services.web.port: expected a port", "without quotes: 3000"),
    (W + "port = 'autos'", ":3: services.web.port: expected a port", "did you mean auto?"),
    (W + "port = 3000\nsocket = true", ":3: services.web.port: with socket = true there is no port", "take one"),
    (W + "port = 'auto'\nsocket = true", ":3: services.web.port: with socket = true there is no port", ""),
    (W + "socket = 'true'", ":3: services.web.socket: expected true or false, got 'true'", "without quotes: true"),
    (W + "port_env = 'HTTP-PORT'", ":3: services.web.port_env: 'HTTP-PORT' is no name of a variable", ""),
    (W + "env = { A = 1 }", ":3: services.web.env.A: expected a string, got 1", 'in quotes: "1"'),
    (W + "[services.web.env]\nA = '1'\nB = true", ":5: services.web.env.B: expected a string, got true", ""),
    (W + "env = ['A=1']", ":3: services.web.env: expected a table of strings, got a list", ""),
    (W + "env = { 'A B' = '1' }", ':3: services.web.env."A B": no name of a variable', ""),
    (W + "env.PORT = '3000'", ":3: services.web.env.PORT: it is set to the port", "port = 3000"),
    (W + "port_env = 'P'\nenv.P = 'x'", ":4: services.web.env.P: it is set to the port", 'port = "auto"'),
    (W + "socket = true\nenv.SOCKET = 'x'", ":4: services.web.env.SOCKET: it is set to the socket", ""),
    (W + "env.LOCALD_URL = 'x'", ":3: services.web.env.LOCALD_URL: what begins with LOCALD_", ""),
    (W + "env_file = '.env'", ":3: services.web.env_file: expected a list of files, got '.env'", '[".env"]'),
    (W + "env_file = ['']", ":3: services.web.env_file[0]: it is no file", ""),
    (W + "workdir = ''", ":3: services.web.workdir: it is no folder", ""),
    (W + "host = 'a_b'", ":3: services.web.host: 'a_b' is no name in a URL", "did you mean a-b?"),
    (W + "host = 'localhost'", ":3: services.web.host: 'localhost' is neither a subdomain nor", "web.localhost"),
    ("project.domain = 'test'\n" + W + "host = 'a.localhost'", ":4: services.web.host: 'a.localhost' is neither", ""),
    (W + "path = '/a%20b'", ":3: services.web.path: '/a%20b' is no prefix", ""),
    (W + "path = 'api'", ":3: services.web.path: 'api' is no prefix", "/api"),
    (W + "path = '/a/../b'", ":3: services.web.path: '/a/../b' is no prefix", ""),
    (W + "path = '/a;b'", ":3: services.web.path: '/a;b' is no prefix", ""),
    (W + f"path = '/{'a' * 200}'", "is no prefix", ""),
    (W + "strip = true", ":3: services.web.strip: there is no path to take away", ""),
    (W + "protocol = 'http2'", ':3: services.web.protocol: expected "http1" or "h2c", got', "did you mean http1?"),
    (W + "depends_on = 'db'", ":3: services.web.depends_on: expected a list of services", '["db"]'),
    (W + "depends_on = ['wbe']\n[services.db]\ncommand='x'", ":3: services.web.depends_on[0]: there is no service wbe", "did you mean web?"),
    (W + "depends_on = [\n'web']", ":4: services.web.depends_on[0]: it cannot wait for itself", ""),
    (W + "ready = 'tcp'", ":3: services.web.ready: expected a table with one of http, tcp, command, log and exit", ""),
    (W + "ready = { htpp = '/' }", ":3: services.web.ready.htpp is no setting", "did you mean http?"),
    (W + "ready = { http = 'health' }", ":3: services.web.ready.http: 'health' is no path", "/health"),
    (W + "ready = { http = '/a b' }", ":3: services.web.ready.http: '/a b' has a space in it", ""),
    (W + "ready = { http = '/', tcp = true }", ":3: services.web.ready.tcp: there is http already", ""),
    (W + "ready = { log = '(' }", ":3: services.web.ready.log: '(' is no regular expression", ""),
    (W + "ready = { log = 'x', timeout = -1 }", ":3: services.web.ready.timeout: expected a number of seconds", ""),
    (W + "ready = { log = 'x', timeout = nan }", ":3: services.web.ready.timeout: expected a number", ""),
    (W + "ready.command = []\nready.log = ''\nport = 'none'", "services.web.ready: there is nothing to wait for", ""),
    (W + "port = 'none'\nready.http = '/'", ":4: services.web.ready.http: a worker has no port to ask", ""),
    (W + "port = 'none'\nhost = 'a'", ":4: services.web.host: a worker has no URL", 'port = "auto"'),
    (W + "port = 'none'\nlazy = true", ":4: services.web.lazy: a worker has no URL", ""),
    (W + "port = 'none'\nidle_timeout = 3", ":4: services.web.idle_timeout: a worker has no URL", ""),
    (W + "restart = 'allways'", ":3: services.web.restart: expected", "did you mean always?"),
    (W + "restart = true", ':3: services.web.restart: expected "never", "on-failure" or "always", got true', ""),
    (W + "restart = 'always'\nready.exit = true", ':3: services.web.restart: it is to come to its end', '"on-failure" tries'),
    (W + "port = 3000\nready.exit = true", ":4: services.web.ready.exit: one that comes to its end serves nothing", "port"),
    (W + "socket = true\nready.exit = true", ":4: services.web.ready.exit: one that comes to its end serves", "socket"),
    (W + "lazy = true\nready.exit = true", ":3: services.web.lazy: a worker has no URL", ""),
    (W + "ready = { log = 'x', exit = true }", ":3: services.web.ready.exit: there is log already", ""),
    (W + "stop_signal = 'TREM'", ":3: services.web.stop_signal: 'TREM' is no signal", "did you mean TERM?"),
    (W + "stop_signal = 'KILL'", ":3: services.web.stop_signal: 'KILL' is no signal", ""),
    (W + "stop_signal = 15", ":3: services.web.stop_signal: expected the name of a signal, got 15", ""),
    (W + "stop_timeout = 0", ":3: services.web.stop_timeout: expected a number of seconds", ""),
    (W + "stop_timeout = '10'", ":3: services.web.stop_timeout: expected a number", "without quotes: 10"),
    (W + "watch = ['/etc/*']", ":3: services.web.watch[0]: '/etc/*' is not below the folder", ""),
    (W + "watch = ['../*']", ":3: services.web.watch[0]: '../*' is not below the folder", ""),
    (W + "env.A = '${services.wbe.url}'", ":3: services.web.env.A: ${services.wbe.url}: there is no service wbe", "did you mean web?"),
    (W + "env.A = '${services.web.prot}'", ":3: services.web.env.A: ${services.web.prot}: a service has no prot", "did you mean port?"),
    (W + "env.A = '${services.web}'", ":3: services.web.env.A: '${services.web}' is no reference", "${services.NAME.url}"),
    (W + "env.A = '${services.web.url'", ":3: services.web.env.A: '${services.web.url' is no reference", ""),
    ("[services.web]\ncommand = ['a', '${services.x.url}']", ":2: services.web.command[1]: ${services.x.url}: there is", ""),
    (W + "ready.command = '${services.x.url}'", ":3: services.web.ready.command: ${services.x.url}: there is", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "hint"), MISTAKES, ids=[repr(case[0][-40:]) for case in MISTAKES])
def test_a_mistake_is_named_with_file_line_key_and_what_was_meant(text: str, message: str, hint: str) -> None:
    error = refusal(text)
    assert message in error.message
    assert hint in error.hint or hint in error.message


def test_a_cycle_is_named_in_full() -> None:
    names = {"web": "api", "api": "db", "db": "queue", "queue": "api"}
    text = "".join(f"[services.{name}]\ncommand = 'x'\ndepends_on = ['{other}']\n" for name, other in names.items())
    error = refusal(text)
    assert ":6: services.api.depends_on: a cycle" in error.message
    assert error.message.endswith("api -> db -> queue -> api")


def test_more_services_than_anybody_has() -> None:
    error = refusal("".join(f"[services.a{i}]\ncommand = 'x'\n" for i in range(1001)))
    assert "there are 1001, and 1000 at most" in error.message


@steady
@given(st.text(max_size=200))
def test_any_text_is_taken_or_refused(text: str) -> None:
    with contextlib.suppress(LocaldError):
        read(text, "f")


VALUES: Any = st.recursive(
    st.text(max_size=5) | st.integers() | st.floats() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = list(Service.__struct_fields__) + [f"ready.{name}" for name in Ready.__struct_fields__]


def toml_of(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(toml_of, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{toml_of(key)} = {toml_of(each)}' for key, each in value.items())} }}"
    return repr(value)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@steady
@given(
    st.dictionaries(st.sampled_from(KEYS), VALUES.filter(lambda value: "\\ud" not in ascii(value)), max_size=4), TEXT
)
def test_any_value_of_any_key_is_taken_or_refused_with_its_file(keys: dict[str, Any], name: str) -> None:
    text = f"[services.{toml_of(name)}]\n" + "".join(f"{key} = {toml_of(value)}\n" for key, value in keys.items())
    try:
        file = read(text, "f")
    except LocaldError as error:
        assert error.message.startswith("f:")
    else:
        assert list(file.services) == [name]
