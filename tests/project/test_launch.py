"""From a service to what is started."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from locald.errors import LocaldError
from locald.project.launch import Launch, Place, environment, launch, ready_command
from locald.project.model import Project, Ready, Service

WEB = Place(20001, url="https://shop.localhost/")
PLACES = {
    "api": Place(None, "/run/api.sock", "https://api.shop.localhost/v1"),
    "db": Place(5432, url="https://db.shop.localhost/"),
    "work": Place(None),
}


def made(service: Service, own: Place = WEB, **how: Any) -> Launch:
    services = {
        "web": service,
        "api": Service("x", socket=True, port=None),
        "db": Service("x"),
        "work": Service("x", port=None),
    }
    project = Project("shop", "/p", "/p/locald.toml", services)
    return launch(project, "web", own, PLACES, how.pop("environ", {}), how.pop("dotenv", {}), **how)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("a $PORT ${PORT}", "a 20001 20001"),
        ("a $PORTS ${PORT:-3} $HOME $$", "a $PORTS ${PORT:-3} $HOME $$"),
        ("a ${services.db.url}/x", "a https://db.shop.localhost/x"),
        ("a ${services.api.url}", "a https://api.shop.localhost/v1"),
        ("a ${services.db.host}:${services.db.port}", "a 127.0.0.1:5432"),
        ("a ${services.db.name} ${services.web.name}", "a db.shop.localhost shop.localhost"),
        ("a ${services.web.url}", "a https://shop.localhost"),
        ("a ${services.api.socket}", "a /run/api.sock"),
        ("a $SOCKET", "a $SOCKET"),
    ],
)
def test_what_is_substituted_and_what_is_left(text: str, filled: str) -> None:
    assert made(Service(text)).argv == ("/bin/sh", "-c", filled)
    assert made(Service(("a", text))).argv == ("a", filled)
    assert made(Service("x", env={"A": text})).environ["A"] == filled


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${services.work.url}", "work has no url"),
        ("${services.work.name}", "work has no name"),
        ("${services.work.port}", "work has no port"),
        ("${services.work.host}", "work has no host"),
        ("${services.db.socket}", "db has no socket"),
        ("${services.api.host}", "api has no host"),
        ("${services.api.port}", "api has no port"),
        ("${services.nobody.port}", "there is no service nobody"),
    ],
)
def test_a_value_that_is_not_there_is_refused(text: str, message: str) -> None:
    with pytest.raises(LocaldError, match=message) as caught:
        made(Service(text))
    assert caught.value.hint


def test_a_service_without_a_place_is_named() -> None:
    project = Project("shop", "/p", "x", {"web": Service("${services.db.port}"), "db": Service("x")})
    with pytest.raises(LocaldError, match="db has no place yet"):
        launch(project, "web", WEB, {}, {}, {})


def test_which_of_two_values_a_variable_has() -> None:
    environ = {"PATH": "/mise", "A": "caller", "B": "caller", "PORT": "9", "LOCALD_URL": "other"}
    dotenv = {"A": "dotenv", "C": "dotenv", "D": "dotenv", "PORT": "8"}
    found = made(Service("x", env={"B": "env", "D": "env"}), environ=environ, dotenv=dotenv).environ
    assert made(Service("x", env={"PORT": "7"})).environ["PORT"] == "20001"
    assert found == {
        "PATH": "/mise", "A": "caller", "B": "env", "C": "dotenv", "D": "env", "PORT": "20001", "LOCALD_URL": WEB.url,
    }  # fmt: skip


def test_a_port_by_another_name_a_socket_and_a_worker() -> None:
    assert made(Service("x", port_env="HTTP_PORT")).environ == {"HTTP_PORT": "20001", "LOCALD_URL": WEB.url}
    found = made(
        Service("x $SOCKET ${SOCKET}", socket=True, port=None), Place(None, "/run/w.sock", "https://shop.localhost/")
    )
    assert found.argv[-1] == "x /run/w.sock /run/w.sock"
    assert found.environ == {"SOCKET": "/run/w.sock", "LOCALD_URL": "https://shop.localhost/"}
    worker = made(Service("x $PORT", port=None), Place(None), dotenv={"PORT": "3"})
    assert (worker.argv[-1], worker.environ) == ("x $PORT", {"PORT": "3"})


def test_the_folder() -> None:
    assert made(Service("x")).directory == "/p"
    assert made(Service("x", workdir="web")).directory == "/p/web"
    assert made(Service("x", workdir="/srv")).directory == "/srv"


def test_the_command_that_tells_readiness() -> None:
    for command, words in (("p -p $PORT", ("/bin/sh", "-c", "p -p 20001")), (("p", "$PORT"), ("p", "20001")), ((), ())):
        service = Service("x", ready=Ready(command=command, tcp=not command))
        assert ready_command(Project("s", "/p", "x", {"web": service}), "web", WEB, {}) == words


def test_the_shell_sees_what_we_leave() -> None:
    found = made(Service("echo $PORT '$PORT' $HOME ${PORT:-3} \"$A\""), environ={"HOME": "/h", "A": "x  y"})
    done = subprocess.run(found.argv, env=found.environ, capture_output=True, text=True)
    assert done.stdout == "20001 20001 /h 20001 x  y\n"


def test_a_tools_variables_are_below_what_the_user_says_and_above_what_is_around() -> None:
    given = made(Service("uvicorn app:app"), environ={"UVICORN_PORT": "1"})
    assert (given.environ["UVICORN_PORT"], given.notes) == ("20001", ("UVICORN_PORT=20001 set: uvicorn ignores PORT",))
    own = made(Service("uvicorn app:app", env={"UVICORN_PORT": "7"}))
    assert (own.environ["UVICORN_PORT"], own.notes) == ("7", ())
    nuxt = made(
        Service("nuxt dev"), environ={"NUXT_PORT": "1", "HOST": "0.0.0.0", "A": "1"}, dotenv={"NITRO_PORT": "2"}
    )
    assert set(nuxt.environ) == {"A", "PORT", "LOCALD_URL"}


def test_who_names_another_variable_gets_no_flags() -> None:
    assert made(Service("vite", port_env="VITE_PORT")).argv[-1] == "vite"


def test_the_environment_for_another_command_of_the_service() -> None:
    project = Project(
        "shop", "/p", "x", {"web": Service("uvicorn a:b", env={"DB": "${services.db.port}"}), "db": Service("x")}
    )
    found = environment(project, "web", WEB, PLACES, {"A": "1"}, {"B": "2"})
    assert found == {"A": "1", "B": "2", "DB": "5432", "PORT": "20001", "LOCALD_URL": WEB.url}
