"""Every block of commands in our pages, typed by the user it is written for; what a page shows is what is printed.

A block is claimed by a runner: by its page and its first line, or with all others of its page.  One that nobody claims
fails, so whoever writes a new one decides here how it is run.  What a test cannot do as it stands is done with the
nearest thing that it can do, and STANDS_IN says which.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sources
from blocks import LANGUAGES, PAGES, Block, blocks, pattern, unfenced
from locald_setup import HOSTS, KEYSTORE, quick_store
from programs import Program, need
from recipes import ANSWER, FILES
from shop import SERVER
from users import BIN, User, uninstall, wait_for

from locald import config
from locald.paths import SHIM

CLAIMED: list[Block] = []


def claim(page: str, first: str) -> Block:
    """The one block of the page that begins so."""
    (block,) = (each for each in blocks(page, "console") if each.first.startswith(first))
    CLAIMED.append(block)
    return block


def claim_all(page: str) -> list[Block]:
    """The whole page is one story, told by one user from top to bottom: a new block is the next part of it."""
    story = blocks(page, "console")
    CLAIMED.extend(story)
    return story


START = claim("README.md", "pip install locald")
BY_HAND = claim("README.md", "pip install .")
PROJECT = claim("README.md", "locald up -d")
NAMES = claim("README.md", "locald run --name shop")
MISTAKE = claim("docs/project.md", "locald config --check")
HANDED = claim("docs/exec.md", "locald exec -p 80")
PRELOADED = claim("docs/preload.md", "locald exec --preload")
CONTRIBUTE = claim("CONTRIBUTING.md", "sudo apt install")
VERBS = claim_all("docs/verbs.md")
TROUBLE = claim_all("docs/troubleshooting.md")
HTTPS = claim_all("docs/https.md")
claim_all("docs/distributions.md")  # by tests/root/test_distribution.py, which has the machines for it

# A command of a page, and what is typed in its place.
STANDS_IN = (
    (r"sudo apt install ", "sudo apt-get install --simulate --assume-yes "),  # the packages are there, by these names
    (r"make (\w+)", r"make --dry-run \1"),  # CI runs the targets themselves: minutes, and tests that run these tests
)
# What `cd` and `export` have changed is there for the next command of the block.
SHELL = """[ ! -e ~/.shell ] || . ~/.shell
{}
code=$?; {{ export -p; printf 'cd %q\\n' "$PWD"; }} >~/.shell; exit $code"""
GOES_ON = re.compile(r"locald (run|logs -f|requests -f|up(?! -d))\b")
ARROW = re.compile(r"^locald: (\S+)  ->  port (\d+)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_somebody_who_runs_it(page: str) -> None:
    assert not unfenced(page), "code that is only indented is seen by nobody: put it between fences"
    for block in blocks(page):
        assert block.language in LANGUAGES, (page, block.line)
        assert block.language != "console" or CLAIMED.count(block) == 1, f"who types {page}:{block.line}?"


class Typist:
    """A user who types what a page says, in a folder of theirs."""

    def __init__(self, user: User, folder: str = ".") -> None:
        self.user = user
        self.folder = user.home / folder
        self.programs: list[Program] = []
        self.write(".curlrc", "fail\nsilent\nshow-error\n", user.home)  # a page with an error is one for curl too

    def write(self, name: str, text: str, folder: Path | None = None) -> None:
        path = (folder or self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for each in (path, path.parent):
            os.chown(each, self.user.uid, self.user.uid)

    def play(self, block: Block) -> None:
        """All of a block, as in one shell."""
        (self.user.home / ".shell").unlink(missing_ok=True)
        for step in block.steps:
            if GOES_ON.match(step.command):
                self._begin(step.command, step.shown)
            else:
                self._do(step.command, step.shown)

    def _do(self, command: str, shown: tuple[str, ...]) -> None:
        for form, stands_in in STANDS_IN:
            command = re.sub(form, stands_in, command)
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "timeout": 300, "cwd": self.folder}
        done = subprocess.run(("bash", "-c", SHELL.format(command)), **self.user.how(**how))
        fails = any(line.startswith("error: ") for line in shown)
        assert fails == (done.returncode != 0), (command, done.returncode, done.stdout)
        if shown:
            assert re.fullmatch(pattern(shown, self.user.home), done.stdout + "\n"), (command, done.stdout)

    def _begin(self, command: str, shown: tuple[str, ...]) -> None:
        """In a terminal of its own, where it goes on; the next command is typed when it has said what the page shows."""
        process = self.user.start("sh", "-c", f"exec {command}", cwd=self.folder)
        program = Program(process, f"({re.escape(shown[-1][:12])})" if shown else "(locald: .*  ->  )")
        self.programs.append(program)
        if shown:
            wait_for(lambda: re.match(pattern(shown, self.user.home), program.said() + "\n"))
        if arrow := ARROW.search(program.said()):
            wait_for(lambda: listens(int(arrow[2])))

    def get(self, url: str) -> str:
        done = self.user.type("curl", url)
        assert done.returncode == 0, (url, done.stderr)
        return done.stdout

    def end(self) -> None:
        for program in self.programs:
            program.process.terminate()  # a `locald run` takes its command along
            program.process.wait(30)
            program.stop()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Who types.


@pytest.fixture
def alice(sudoer: User, tmp_path: Path) -> Iterator[User]:
    """Has an account, a sudo that asks nothing, and a system without Java, whose store takes seconds."""
    del sudoer.environ["XDG_STATE_HOME"]
    java = KEYSTORE.read_bytes() if KEYSTORE.exists() else None
    KEYSTORE.unlink(missing_ok=True)
    with quick_store(tmp_path):
        yield sudoer
        sudoer.put_away()
        uninstall()
    if java is not None:
        KEYSTORE.write_bytes(java)


@pytest.fixture
def sudo_finds(sudoer: User) -> Iterator[Callable[[Path], None]]:
    """Has sudo look into this folder first, as where programs are in /usr/local/bin."""
    rule = Path("/etc/sudoers.d/locald-test-path")

    def put(folder: Path) -> None:
        sudoer.environ["PATH"] = f"{folder}:/usr/bin:/bin"
        rule.write_text(f'Defaults:locald-test secure_path="{folder}:/usr/sbin:/usr/bin:/sbin:/bin"\n')
        rule.chmod(0o440)

    yield put
    rule.unlink(missing_ok=True)


@pytest.fixture
def typist(alice: User) -> Iterator[Callable[..., Typist]]:
    """Makes typists of alice; what they started in a terminal of its own is ended."""
    typists: list[Typist] = []

    def make(folder: str = ".") -> Typist:
        typists.append(Typist(alice, folder))
        return typists[-1]

    yield make
    for each in typists:
        each.end()


@pytest.fixture
def ready(alice: User) -> None:
    """She has typed `sudo locald-setup`."""
    done = alice.type("sudo", str(BIN / "locald-setup"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def checkout(alice: User, root: Path) -> Path:
    """A checkout of hers, in which all is compiled already: a minute of compiling is for make, once."""
    folder = alice.home / "locald"
    sources.copy(root, folder)
    built = folder / f"build/lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    compiled = [path for path in (root / "locald").rglob("*") if path.suffix in (".c", ".so")]
    for path in sorted(compiled):  # C before what is made of it, and both younger than their sources
        copy(path, (built if path.suffix == ".so" else folder) / path.relative_to(root))
    subprocess.run(["strip", "--strip-debug", *built.rglob("*.so")], check=True)  # pip packs them
    subprocess.run(["chown", "-R", str(alice.uid), folder], check=True)
    alice.environ["CC"] = "cc"  # zig, where it is there, would compile musl first
    return folder


def copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(source.read_bytes())
    to.chmod(source.stat().st_mode & 0o777)


@pytest.fixture
def venv(alice: User, sudo_finds: Callable[[Path], None]) -> Path:
    """A virtual environment of hers, with all that we need and not us; pip asks nobody."""
    folder = alice.home / "venv"
    assert alice.type(sys.executable, "-m", "venv", "--without-pip", str(folder)).returncode == 0
    have = alice.home / "have"
    have.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("locald", "__editable__")):
            (have / path.name).symlink_to(path)
    (place,) = folder.glob("lib/python*/site-packages")
    (place / "have.pth").write_text(f"{have}\n")
    pip = folder / "bin/pip"
    pip.write_text(
        f"#!{folder}/bin/python\nimport pip._internal.cli.main, sys\nsys.exit(pip._internal.cli.main.main())\n"
    )
    pip.chmod(0o755)
    alice.environ |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_COMPILE": "1", "PIP_QUIET": "1"}
    sudo_finds(folder / "bin")
    return folder


# The pages.

NODE = 'require("http").createServer((ask, answer) => answer.end(`${process.argv[2]} ${ask.url}`)).listen(process.env.PORT, "127.0.0.1")\n'
PACKAGE = '{"scripts": {"dev": "node server.js dev", "api": "node server.js api"}}\n'


def node_app(typist: Typist) -> None:
    need("npm")
    typist.write("package.json", PACKAGE)
    typist.write("server.js", NODE)


def test_the_first_commands_of_the_readme(
    typist: Callable[..., Typist], alice: User, venv: Path, checkout: Path
) -> None:
    wheel = ("setup.py", "-q", "bdist_wheel", "--dist-dir", str(alice.home / "wheels"))
    done = alice.type("python", *wheel, cwd=checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    alice.environ["PIP_FIND_LINKS"] = str(alice.home / "wheels")
    her = typist("myapp")
    node_app(her)
    her.play(START)
    assert (venv / "bin/locald").exists()
    assert her.get("https://myapp.localhost/x") == "dev /x"


def test_the_readme_by_hand(typist: Callable[..., Typist], venv: Path, checkout: Path) -> None:
    typist("locald").play(BY_HAND)
    assert (venv / "bin/locald").exists()
    assert not Path(SHIM).exists()


@pytest.mark.usefixtures("ready")
def test_the_project_of_the_readme(typist: Callable[..., Typist]) -> None:
    her = typist("shop")
    her.write("locald.toml", blocks("README.md", "toml")[0].text)
    her.play(PROJECT)


@pytest.mark.usefixtures("ready")
def test_the_names_of_the_readme(typist: Callable[..., Typist]) -> None:
    her = typist("shop")
    node_app(her)
    her.write("server.py", SERVER)
    for name, port in (("docs", 4000), ("tenants", 5000)):
        her.user.start("python", "-S", "server.py", name, str(port), cwd=her.folder)
        wait_for(lambda port=port: listens(port))
    her.play(NAMES)
    assert her.get("https://shop.localhost/x") == "dev /x"
    assert her.get("https://shop.localhost/api/x") == "api /api/x"
    assert '"docs"' in her.get("https://shop.localhost/docs/x")
    assert '"tenants"' in her.get("https://one.tenants.localhost/")
    assert "unix:/run/user/1000/db-ui.sock" in her.user.type("locald", "status").stdout


@pytest.mark.usefixtures("ready")
def test_a_server_is_handed_port_80(typist: Callable[..., Typist], sudo_finds: Callable[[Path], None]) -> None:
    sudo_finds(BIN)
    her = typist()
    her.write("app.py", FILES["app.py"])
    begin, ask = HANDED.steps
    her.user.start("sh", "-c", f"exec {begin.command}", cwd=her.folder)
    wait_for(lambda: listens(80))
    assert her.get(ask.command.removeprefix("curl ")) == ANSWER


@pytest.mark.usefixtures("ready")
def test_a_program_binds_port_80(typist: Callable[..., Typist], sudo_finds: Callable[[Path], None]) -> None:
    sudo_finds(BIN)
    her = typist()
    her.write("index.html", ANSWER)
    (step,) = PRELOADED.steps
    her.user.start("sh", "-c", f"exec {step.command}", cwd=her.folder)
    wait_for(lambda: listens(80))
    assert her.get("http://localhost/") == ANSWER


@pytest.mark.usefixtures("ready")
def test_python_of_the_readme(alice: User) -> None:
    (block,) = blocks("README.md", "python")
    done = alice.type("python", "-c", f"{block.text}\nprint(*listener.getsockname())")
    assert (done.stdout, done.stderr) == ("127.0.0.1 80\n", "")


def test_settings_that_pages_show_are_settings() -> None:
    texts = [block.text for page in ("README.md", "docs/https.md") for block in blocks(page, "toml")]
    settings = [text for text in texts if "[services" not in text]
    assert len(settings) == 3
    for text in settings:
        assert config.parse(text, "config.toml") != config.Config()


def test_a_mistake_in_a_project_is_told_as_its_page_shows_it(typist: Callable[..., Typist]) -> None:
    her = typist("shop")
    first = blocks("docs/project.md", "toml")[0].text
    assert "depends_on" in first
    her.write("locald.toml", first.replace("depends_on", "depends", 1))
    her.play(MISTAKE)


def test_who_contributes_can_set_up(typist: Callable[..., Typist], venv: Path, checkout: Path) -> None:
    need("apt-get")
    her = typist("locald")
    her.user.environ["PATH"] = f"{venv}/bin:{BIN}:/usr/bin:/bin"  # pre-commit is of the tests' environment
    assert her.user.type("git", "init", "--quiet", cwd=checkout).returncode == 0
    her.play(CONTRIBUTE)
    assert "pre-commit" in (checkout / ".git/hooks/pre-commit").read_text()


@pytest.mark.usefixtures("ready")
def test_the_session_of_the_verbs(typist: Callable[..., Typist], sudo_finds: Callable[[Path], None]) -> None:
    sudo_finds(BIN)
    her = typist("shop")
    her.user.environ["BROWSER"] = "true"
    her.write("locald.toml", blocks("README.md", "toml")[0].text)
    for block in VERBS:
        her.play(block)


@pytest.mark.usefixtures("ready")
def test_what_troubleshooting_types(typist: Callable[..., Typist]) -> None:
    her = typist()
    assert her.user.type("locald", "daemon", "start").returncode == 0
    for block in TROUBLE:
        her.play(block)


@pytest.mark.usefixtures("ready")
def test_https(typist: Callable[..., Typist], sudo_finds: Callable[[Path], None]) -> None:
    need("node")
    sudo_finds(BIN)
    her = typist("shop")
    her.write("locald.toml", blocks("README.md", "toml")[0].text)
    assert her.user.type("locald", "up", "-d", cwd=her.folder).returncode == 0
    with HOSTS.open("a") as hosts:  # Node asks the system
        hosts.write("\n127.0.0.1 shop.localhost\n")
    for block in HTTPS:
        her.play(block)
