"""`locald init`: what is written reads back as the same, and is written over nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from steady import steady

from locald.cli import config as config_verb
from locald.cli import init as init_verb
from locald.errors import LocaldError
from locald.project import create as creating
from locald.project.create import create
from locald.project.find import guessed, load
from locald.project.model import Project, Ready, Service
from locald.project.read import read
from locald.project.write import text_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def init(*words: str) -> Any:
    return CliRunner().invoke(init_verb.command, words, standalone_mode=False)


def check(*words: str) -> Any:
    return CliRunner().invoke(config_verb.command, words, standalone_mode=False)


def test_it_has_what_was_found_and_reads_back_as_the_same(folder: Path) -> None:
    (folder / "Procfile").write_text("web: serve \"it\" 'x' \\ $PORT # é\nwork: w\n")
    before = guessed(folder)
    done = init()
    assert (done.return_value, done.exception) == (0, None)
    file = folder / "locald.toml"
    assert f"{file} is written, with web, work: the services of Procfile are used. Start it: locald up" in done.output
    after = load(folder, {})
    assert after == msgspec.structs.replace(before, source=str(file), said="")
    assert file.read_text().startswith("# What this project runs.")
    assert sorted(os.listdir(folder)) == ["Procfile", "locald.toml"]
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask(), "it is for the repository, and so for whom the umask says"


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_keys_it_offers_in_a_comment_are_taken() -> None:
    text = text_of(Project("shop", "/p", "", {"web": Service("x")}))
    offered = [line.removeprefix("# ") for line in text.split("\n") if line.startswith("# ") and " = " in line]
    assert len(offered) == 7
    others = "".join(f'[services.{name}]\ncommand = "x"\n' for name in ("db", "api"))
    read('[services.web]\ncommand = "x"\n' + "\n".join(offered) + "\n" + others, "f")


def test_a_command_of_ones_own(folder: Path) -> None:
    assert init("--", "python", "-m", "x", "--a b", "$PORT").return_value == 0
    assert load(folder, {}).services == {"web": Service("python -m x '--a b' '$PORT'")}
    assert init("--force", "--", "serve $PORT && x").return_value == 0
    assert load(folder, {}).services == {"web": Service("serve $PORT && x")}


def test_nothing_is_written_over(folder: Path) -> None:
    (folder / "Procfile").write_text("web: x")
    (folder / "locald.toml").write_text("mine")
    error = init().exception
    assert isinstance(error, LocaldError)
    assert "is there already" in error.message
    assert "--force" in error.hint
    assert (folder / "locald.toml").read_text() == "mine"
    (folder / "locald.toml").unlink()
    (folder / "locald.toml").symlink_to("nowhere")
    assert "is there already" in str(init().exception)
    assert init("--force").return_value == 0
    assert load(folder, {}).services == {"web": Service("x")}


def test_not_even_in_the_last_moment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "locald.toml"

    def text(project: Project) -> str:
        file.write_text("another's")
        return text_of(project)

    monkeypatch.setattr(creating, "text_of", text)
    with pytest.raises(LocaldError, match="is there now"):
        create(folder, {}, "x", force=False)
    assert file.read_text() == "another's"
    assert os.listdir(folder) == ["locald.toml"]


def test_where_nothing_is_found_nothing_is_written(folder: Path) -> None:
    error = init().exception
    assert isinstance(error, LocaldError)
    assert "locald init -- CMD" in error.hint
    assert os.listdir(folder) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LocaldError, match=r"locald\.toml cannot be written: No such file or directory"):
        create(tmp_path / "gone", {}, "x", force=False)


def test_config_shows_the_services_in_the_order_of_their_start(folder: Path) -> None:
    (folder / "locald.toml").write_text(
        '[services.web]\ncommand = "npm run dev"\ndepends_on = ["api"]\n[services.api]\ncommand = ["a", "b"]\nsocket = true\n'
        '[services.work]\ncommand = "w"\nport = "none"\n'
    )
    done = check()
    assert (done.return_value, done.exception) == (0, None)
    assert [line.split() for line in done.output.splitlines()[2:]] == [
        ["NAME", "HOST", "PORT", "DEPENDS", "ON", "COMMAND"],
        ["api", "api.shop.localhost", "socket", "-", "a", "b"],
        ["web", "shop.localhost", "auto", "api", "npm", "run", "dev"],
        ["work", "-", "-", "-", "w"],
    ]
    assert check("--check").output == f"{folder}/locald.toml: 3 services, and nothing is wrong\n"
    facts = json.loads(check("--json").output)
    assert facts["ok"] is True
    assert {name: service["host"] for name, service in facts["services"].items()} == {
        "web": "shop.localhost", "api": "api.shop.localhost", "work": None,
    }  # fmt: skip
    assert json.loads(check("--check", "--json").output) == facts


def test_config_says_what_is_used_where_there_is_no_file(folder: Path) -> None:
    (folder / "Procfile").write_text("web: x")
    done = check("--check")
    assert "no locald.toml: the services of Procfile are used" in done.output
    assert f"{folder}/Procfile: 1 service, and nothing is wrong" in done.output


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"locald.toml": '[services.web]\ncomand = "x"'}, "locald.toml:2: services.web.comand is no setting"),
        ({"locald.toml": '[services.web]\ncommand = "x"', ".env": "A=1\nB"}, ".env:2: 'B' is not NAME=VALUE"),
        ({"locald.toml": '[services.web]\ncommand = "x"\nenv_file = ["a.env"]'}, "a.env cannot be read: No such file"),
        ({"locald.toml": '[services.web]\ncommand = "x"\nworkdir = "a"'}, "services.web.workdir: there is no folder"),
    ],
)
def test_config_check_finds_mistakes_in_all_files(folder: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    error = check("--check").exception
    assert isinstance(error, LocaldError)
    assert message in error.message
    done = check("--check", "--json")
    assert done.return_value == 1
    assert json.loads(done.output) == {"ok": False, "message": error.message, "hint": error.hint, "check": "project"}


def test_the_program_ends_with_a_message_and_a_code(folder: Path) -> None:
    (folder / "locald.toml").write_text('[services.web]\ncomand = "x"')
    program = [sys.executable, "-P", "-m", "locald", "config", "--check"]
    done = subprocess.run(program, env={"PATH": ""}, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {folder}/locald.toml:2: services.web.comand is no setting\n\n"
        f"hint: did you mean command?   (edit {folder}/locald.toml); more: locald doctor project\n"
    )
    program[-2:] = ["init", "--force", "--", "x"]
    assert subprocess.run(program, env={"PATH": ""}, cwd=folder, capture_output=True).returncode == 0
    assert load(folder, {}).services == {"web": Service("x")}


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8).map(
    lambda text: text.replace("$", "")
)
COMMAND = TEXT.filter(str.strip) | st.tuples(TEXT.filter(str.strip), TEXT)
SECONDS = st.floats(0.001, 86400)
SERVICES = st.builds(
    Service,
    command=COMMAND,
    workdir=TEXT.filter(bool),
    env=st.dictionaries(st.from_regex(r"[A-KM-OQ-Za-z_][A-Z0-9_]{0,3}", fullmatch=True).filter(lambda key: key != "SOCKET"), TEXT, max_size=3),
    env_file=st.lists(TEXT.filter(bool), max_size=2).map(tuple),
    port=st.just("auto") | st.integers(1, 65535),
    port_env=st.sampled_from(["PORT", "PORT_2"]),
    host=st.sampled_from(["", "a", "a.b", "@"]),
    path=st.sampled_from(["", "/a", "/a/b.c"]),
    wildcard=st.booleans(),
    protocol=st.sampled_from(["http1", "h2c"]),
    plain=st.booleans(),
    ready=st.none() | st.builds(Ready, http=st.sampled_from(["/", "/x"]), timeout=SECONDS) | st.builds(Ready, command=COMMAND),
    restart=st.sampled_from(["never", "always"]),
    stop_signal=st.sampled_from(["TERM", "INT"]),
    stop_timeout=SECONDS,
    watch=st.lists(st.sampled_from(["a/**", '"x"', "'"]), max_size=2).map(tuple),
    lazy=st.booleans(),
    idle_timeout=st.none() | SECONDS,
) | st.builds(Service, command=COMMAND, port=st.none(), socket=st.booleans())  # fmt: skip


@settings(steady, max_examples=50)
@given(st.dictionaries(st.sampled_from(["web", "a-b", "0"]), SERVICES, min_size=1), st.sampled_from(["", "test"]))
def test_whatever_is_written_reads_back_as_the_same(services: dict[str, Service], domain: str) -> None:
    file = read(text_of(Project("shop", "/p", "", services, domain)), "f")
    assert (file.services, file.project.name, file.project.domain) == (services, "shop", domain)
