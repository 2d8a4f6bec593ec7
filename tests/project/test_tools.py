"""Dev servers that ignore PORT: recognised through what starts them, and given what they need.

tests/real/test_tools.py starts those that can be had; here it is which words are added where.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from locald.project.model import Command
from locald.project.tools import TOOLS, recognise, supply

SCRIPTS = {
    ".": {
        "dev": "vite",
        "start": "cross-env A=1 NODE_ENV=development vite --open",
        "nested": "npm run dev",
        "twice": "npm run nested -- --debug",
        "pnpmed": "pnpm dev",
        "build": "vite build",
        "both": "tsc -w & vite",
        "piped": "vite | cat",
        "next": "next dev -p 3000",
        "fixed": "vite --port 3000",
        "asks": "vite --port $PORT",
        "loop": "npm run loop",
        "turbo": "turbo dev",
        "cd": "cd web && vite",
    },
    "web": {"dev": "astro dev"},
}
VITE = "--port 20001 --strictPort --host 127.0.0.1"


def given_to(command: Command, name: str = "shop.localhost", **environ: str) -> Any:
    return supply(
        command, 20001, f"https://{name}/", lambda folder: SCRIPTS.get(folder.removeprefix("./"), {}), environ
    )


@pytest.mark.parametrize(
    ("command", "added"),
    [
        ("vite", f" {VITE}"),
        ("vite dev", f" {VITE}"),
        ("vite preview --open", f" {VITE}"),
        ("vite web", f" {VITE}"),
        ("vite  ", f" {VITE}"),
        ("./node_modules/.bin/vite", f" {VITE}"),
        ("A=1 B='x y' vite", f" {VITE}"),
        ("npx vite", f" {VITE}"),
        ("npx --yes vite", f" {VITE}"),
        ("bunx vite", f" {VITE}"),
        ("bunx --bun vite", f" {VITE}"),
        ("pnpm exec vite", f" {VITE}"),
        ("pnpm vite", f" {VITE}"),
        ("yarn vite", f" {VITE}"),
        ("npm exec vite", f" -- {VITE}"),
        ("npm exec -- vite", f" {VITE}"),
        ("env A=1 vite", f" {VITE}"),
        ("exec vite", f" {VITE}"),
        ("doppler run -- vite", f" {VITE}"),
        ("npm run dev", f" -- {VITE}"),
        ("npm run dev -- --open", f" {VITE}"),
        ("npm start", f" -- {VITE}"),
        ("npm -s run dev", f" -- {VITE}"),
        ("npm run nested", f" -- -- {VITE}"),
        ("npm run twice", f" -- -- {VITE}"),
        ("npm run pnpmed", f" -- {VITE}"),
        ("pnpm dev", f" {VITE}"),
        ("pnpm run dev", f" {VITE}"),
        ("yarn dev", f" {VITE}"),
        ("bun run dev", f" {VITE}"),
        ("bun --bun run dev", f" {VITE}"),
        ("npm run both", f" -- {VITE}"),
        ("npm run cd", f" -- {VITE}"),
        ("npm run build && npm run dev", f" -- {VITE}"),
        ("cd web && npm run dev", " -- --port 20001 --host 127.0.0.1"),
        ("npm --prefix web run dev", " -- --port 20001 --host 127.0.0.1"),
        ("vite --host 0.0.0.0", " --port 20001 --strictPort"),
        ("vite --host=::1", " --port 20001 --strictPort"),
        ("vitepress dev docs", f" {VITE}"),
        ("react-router dev", f" {VITE}"),
        ("remix vite:dev", f" {VITE}"),
        ("astro dev", " --port 20001 --host 127.0.0.1"),
        ("ng serve", " --port 20001 --host 127.0.0.1"),
        ("expo start --web", " --port 20001"),
        ("react-native start", " --port 20001"),
        ("astro preview", " --port 20001 --host 127.0.0.1"),
        ("rspack serve", " --port 20001"),
        ("rsbuild dev", " --port 20001 --strict-port --host 127.0.0.1"),
        ("docusaurus start --no-open", " --port 20001 --host 127.0.0.1"),
        ("storybook dev --no-open", " --port 20001 --exact-port --host 127.0.0.1"),
        ("eleventy --serve", " --port=20001"),
        ("npx @11ty/eleventy --serve --watch", " --port=20001"),
        ("json-server db.json", " --port 20001 --host 127.0.0.1"),
        ("browser-sync start --server", " --port 20001 --listen 127.0.0.1"),
        ("quart run --reload", " --port 20001"),
        ("sanic app:app --dev", " --port 20001"),
        ("hypercorn app:app --reload", " --bind 127.0.0.1:20001"),
        ("uv run daphne app:app", " -p 20001"),
        ("marimo edit", " --port 20001"),
        ("mkdocs serve", " --dev-addr 127.0.0.1:20001"),
        ("sphinx-autobuild docs build", " --port 20001"),
        ("bundle exec jekyll serve", " --port 20001"),
        ("node node_modules/vite/bin/vite.js", f" {VITE}"),
        ("node --inspect node_modules/.bin/vite --open", f" {VITE}"),
        ("env-cmd -f .env.local vite", f" {VITE}"),
        ("uv run --env-file .env --extra dev vite", f" {VITE}"),
        ("uv run -m django runserver", " 127.0.0.1:20001"),
        ("cross-env A=1 B=2 vite", f" {VITE}"),
        ("dotenv -e .env -- vite", f" {VITE}"),
        ("pipenv run python manage.py runserver", " 127.0.0.1:20001"),
        ("wrangler dev", " --port 20001 --ip 127.0.0.1"),
        ("wrangler pages dev dist", " --port 20001 --ip 127.0.0.1"),
        ("python manage.py runserver", " 127.0.0.1:20001"),
        ("python3.12 -u manage.py runserver --noreload", " 127.0.0.1:20001"),
        ("./manage.py runserver", " 127.0.0.1:20001"),
        ("uv run python -m django runserver", " 127.0.0.1:20001"),
        ("poetry run django-admin runserver", " 127.0.0.1:20001"),
        ("python -m http.server -d dist", " 20001 --bind 127.0.0.1"),
    ],
)
def test_words_are_added_where_the_tool_finds_them(command: str, added: str) -> None:
    found = given_to(command)
    assert found.command == command.rstrip() + added
    assert [note for note in found.notes if " set: " not in note] == [
        f"{added.strip().removeprefix('-- ').removeprefix('-- ')} added: {recognised(command)} ignores PORT"
    ]
    assert given_to(tuple(command.split())).command in (
        (*command.split(), *added.split()),
        tuple(command.split()),  # of a list no shell makes something else
    )


def recognised(command: str) -> str:
    tool = recognise(command, lambda folder: SCRIPTS.get(folder.removeprefix("./"), {}))
    return tool.name if tool else ""


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        ("flask run", "FLASK_RUN_PORT"),
        ("flask --app shop run --debug", "FLASK_RUN_PORT"),
        ("python -m flask run", "FLASK_RUN_PORT"),
        ("uvicorn app:app --reload", "UVICORN_PORT"),
        ("uv run -m uvicorn app:app", "UVICORN_PORT"),
        ("litestar --app shop:app run", "LITESTAR_PORT"),
        ("granian --interface asgi app:app", "GRANIAN_PORT"),
        ("streamlit run app.py", "STREAMLIT_SERVER_PORT"),
        ("cd api && uv run uvicorn app:app", "UVICORN_PORT"),
        ("php artisan serve", "SERVER_PORT"),
        ("./mvnw spring-boot:run", "SERVER_PORT"),
        ("./gradlew bootRun", "SERVER_PORT"),
    ],
)
def test_a_variable_is_set_where_the_tool_looks_for_another_one(command: str, variable: str) -> None:
    found = given_to(command)
    assert found.command == command
    assert found.environ[variable] == "20001"
    assert f"{variable}=20001 set: {recognised(command)} ignores PORT" in found.notes
    assert variable not in given_to(command, **{variable: "3"}).environ
    assert variable not in given_to(f"{variable}=3 {command}").environ


@pytest.mark.parametrize(
    "command",
    [
        "",
        "next dev",
        "npm run next",
        "vite build",
        "eleventy",
        "astro dev stop",
        "hugo",
        "docusaurus build",
        "hypercorn -b 127.0.0.1:8000 app:app",
        "daphne -u app.sock app:app",
        "mkdocs serve -a localhost:8000",
        "concurrently vite 'node server.js'",
        "docker compose up",
        "node server.js",
        "php -S 127.0.0.1:8000",
        "npm run build",
        "vite --port 3000",
        "vite --port=3000",
        "vite --port $PORT",
        "npm run fixed",
        "npm run asks",
        "npm run dev -- --port 3000",
        "flask run -p 3000",
        "flask run -p3000",
        "uvicorn app:app --port 3000",
        "uvicorn app:app --uds $SOCKET",
        "manage.py runserver 8000",
        "manage.py runserver 0.0.0.0:$PORT",
        "manage.py migrate",
        "flask routes",
        "expo start -p 3000",
        "php artisan migrate",
        "mvn test",
        "python -m http.server 8000",
        "python -c 'vite'",
        "python",
        "npm",
        "npm install",
        "npm run",
        "npm run nothing",
        "npm run dev -w web",
        "npm --workspace web run dev",
        "pnpm --filter web dev",
        "npm dev",
        "npm run loop",
        "npm run turbo",
        "npm run piped",
        "vite | cat",
        "vite &",
        "(vite)",
        "vite > log",
        "vite # really",
        "vite 'x",
        "vite\nvite",
        "echo `vite`",
        "$(which vite)",
        "if true; then vite; fi",
        "npx -p vite vite",
        "dotenv -e .env vite",
        "poetry install",
        "rails routes",
        "rails",
    ],
)
def test_what_is_not_known_or_has_its_port_is_left_alone(command: str) -> None:
    found = given_to(command)
    assert (found.command, found.environ, found.unset, found.notes) == (command, {}, (), ())


def test_what_a_tool_prefers_to_port_is_taken_away() -> None:
    assert given_to("nuxt dev").unset == ("NUXT_PORT", "NITRO_PORT", "HOST")
    assert given_to("nuxt dev", HOST="::1").unset == ("NUXT_PORT", "NITRO_PORT")
    assert given_to("nuxt dev --port 3").unset == ()


def test_a_name_that_is_not_below_localhost_is_allowed() -> None:
    variable = {"__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS": "shop.test"}
    assert given_to("vite").environ == {}
    found = given_to("vite --port 3", "shop.test")
    assert (found.command, found.environ) == ("vite --port 3", variable)
    assert found.notes == ("__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS=shop.test set: vite needs it for this name",)
    found = given_to("astro dev --port 3", "shop.test")
    assert (found.command, found.notes[-1]) == (
        "astro dev --port 3 --allowed-hosts shop.test",
        "--allowed-hosts shop.test added: astro needs it for this name",
    )
    assert given_to("astro dev --allowed-hosts=x --port 3", "shop.test").command.endswith("--port 3")


def test_rails_is_told_its_name_and_astro_to_stay() -> None:
    assert given_to("bin/rails server", "api.shop.localhost").environ == {
        "RAILS_DEVELOPMENT_HOSTS": "api.shop.localhost"
    }
    assert given_to("rails s", RAILS_DEVELOPMENT_HOSTS="x").environ == {}
    assert given_to("astro dev").environ == {"ASTRO_DEV_BACKGROUND": "1"}


@pytest.mark.parametrize("command", ["webpack serve --mode development", "npx webpack-dev-server"])
def test_the_page_of_webpack_is_told_to_come_back_to_where_it_is_from(command: str) -> None:
    """By its own choice its socket goes past the proxy, to the port."""
    socket = "--client-web-socket-url auto://0.0.0.0:0/ws"
    assert given_to(command).command == f"{command} {socket} --port 20001 --host 127.0.0.1"
    assert given_to(f"{command} --port 3").command == f"{command} --port 3 {socket}"
    own = f"{command} --port 3 --client-web-socket-url=ws://here/ws"
    assert given_to(own).command == own


def test_what_a_tool_needs_whatever_its_port() -> None:
    assert given_to("ng serve").environ == {"NG_CLI_ANALYTICS": "false"}
    assert given_to("react-scripts start").environ == {"WDS_SOCKET_PORT": "0"}
    assert given_to("astro preview").environ == {"ASTRO_PREVIEW_BACKGROUND": "1"}
    assert given_to("streamlit run app.py").environ["STREAMLIT_SERVER_HEADLESS"] == "true"


def test_jupyter_is_told_its_name() -> None:
    given = given_to("jupyter lab --no-browser")
    assert given.command == "jupyter lab --no-browser --ServerApp.local_hostnames=shop.localhost --port=20001"
    assert given_to("jupyter nbconvert x").command == "jupyter nbconvert x"


def test_hugo_is_told_its_url() -> None:
    """It writes its links, and the port of its socket, into each page."""
    more = "--baseURL=https://shop.localhost/ --appendPort=false --liveReloadPort=443"
    assert given_to("hugo server -D").command == f"hugo server -D {more} --port 20001"
    plain = supply("hugo server -p 1", 20001, "http://shop.localhost:8080/", lambda folder: {}, {})
    assert plain.command.endswith("--baseURL=http://shop.localhost:8080/ --appendPort=false --liveReloadPort=8080")
    assert given_to("hugo server -p 1 --baseURL /x").command == "hugo server -p 1 --baseURL /x"


def test_every_tool_is_tried_here() -> None:
    tried = set()
    for test in (
        test_words_are_added_where_the_tool_finds_them,
        test_a_variable_is_set_where_the_tool_looks_for_another_one,
    ):
        tried |= {recognised(command) for command, _ in test.pytestmark[0].args[1]}  # type: ignore[attr-defined]
    assert tried | {"nuxt", "rails", "webpack serve", "webpack-dev-server", "react-scripts", "jupyter", "hugo"} == {
        tool.name for tool in TOOLS
    }


WORDS = st.sampled_from(
    "vite npm run dev -- && | ; & ( ) > 'x cd web npx -p python -m flask env A=1 pnpm exec yarn $PORT # ` \n".split(" ")
)


@steady
@given(st.lists(WORDS, max_size=8))
def test_a_command_stays_as_it_is_but_for_what_is_added_at_its_end(words: list[str]) -> None:
    text = " ".join(words)
    found = given_to(text).command
    assert isinstance(found, str)
    assert found == text or found.startswith(text.rstrip() + " ")
    assert given_to(tuple(words)).command[: len(words)] == tuple(words)
