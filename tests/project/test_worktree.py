"""Worktrees of git, made by git itself, and files that claim to be some."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import need, run
from steady import steady

from locald.project.worktree import Worktree, label, look

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """git(folder, words...), as somebody with a name and without settings."""
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "GIT_EDITOR": "true", "GIT_ALLOW_PROTOCOL": "file",
    }  # fmt: skip
    program = need("git")
    return lambda folder, *words: run(program, "-C", folder, *words, env=environ)


@pytest.fixture
def shop(tmp_path: Path, git: Git) -> Path:
    """A repository with a commit on main."""
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def test_a_folder_without_git_and_the_repository_itself(tmp_path: Path, shop: Path, git: Git) -> None:
    assert look(tmp_path / "other") is None
    (shop / "a/b").mkdir(parents=True)
    assert look(shop / "a/b") == Worktree(shop)
    git(shop, "switch", "-q", "-c", "fix/ui")
    assert look(shop) == Worktree(shop), "whose branch changes as people work in it"


def test_a_linked_worktree_has_its_branch(tmp_path: Path, shop: Path, git: Git) -> None:
    git(shop, "worktree", "add", "-q", "-b", "fix/ui", tmp_path / "elsewhere")
    (tmp_path / "elsewhere/web").mkdir()
    assert look(tmp_path / "elsewhere/web") == Worktree(tmp_path / "elsewhere", "fix/ui", "shop")
    git(tmp_path / "elsewhere", "switch", "-q", "-c", "other")
    assert look(tmp_path / "elsewhere") == Worktree(tmp_path / "elsewhere", "other", "shop")


def test_without_a_branch_the_worktree_has_its_own_name(tmp_path: Path, shop: Path, git: Git) -> None:
    git(shop, "worktree", "add", "-q", "--detach", tmp_path / "elsewhere")
    assert look(tmp_path / "elsewhere") == Worktree(tmp_path / "elsewhere", "elsewhere", "shop")


def test_in_the_middle_of_a_rebase_the_branch_is_the_one_that_is_rebased(tmp_path: Path, shop: Path, git: Git) -> None:
    folder = tmp_path / "elsewhere"
    git(shop, "worktree", "add", "-q", "-b", "fix", folder)
    for where, text in ((shop, "ours"), (folder, "theirs")):
        (where / "file").write_text(text)
        git(where, "add", "file")
        git(where, "commit", "-q", "-m", text)
    with pytest.raises(AssertionError):
        git(folder, "rebase", "main")
    assert not (folder / ".git").is_dir()
    assert look(folder) == Worktree(folder, "fix", "shop")


def test_a_worktree_with_relative_paths(tmp_path: Path, shop: Path, git: Git) -> None:
    """As git writes them since 2.48 where it is told to (worktree.useRelativePaths)."""
    git(shop, "worktree", "add", "-q", "-b", "fix", tmp_path / "elsewhere")
    (tmp_path / "elsewhere/.git").write_text("gitdir: ../shop/.git/worktrees/elsewhere\n")
    assert look(tmp_path / "elsewhere") == Worktree(tmp_path / "elsewhere", "fix", "shop")


def test_of_a_bare_repository_the_worktree_of_its_own_branch_is_the_main_one(
    tmp_path: Path, shop: Path, git: Git
) -> None:
    bare = tmp_path / "store/.bare"
    git(tmp_path, "clone", "-q", "--bare", shop, bare)
    git(bare, "worktree", "add", "-q", tmp_path / "store/main", "main")
    git(bare, "worktree", "add", "-q", "-b", "fix", tmp_path / "store/fix")
    assert look(tmp_path / "store/main") == Worktree(tmp_path / "store/main", "", "store")
    assert look(tmp_path / "store/fix") == Worktree(tmp_path / "store/fix", "fix", "store")
    git(tmp_path, "clone", "-q", "--bare", shop, tmp_path / "plain.git")
    git(tmp_path / "plain.git", "worktree", "add", "-q", "-b", "fix", tmp_path / "fix")
    assert look(tmp_path / "fix") == Worktree(tmp_path / "fix", "fix", "plain")


def test_a_submodule_is_no_worktree(tmp_path: Path, shop: Path, git: Git) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", shop, "inner")
    assert (outer / "inner/.git").is_file()
    assert look(outer / "inner") == Worktree(outer / "inner")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"gitdir: ",
        b"gitdir: /nowhere",
        b"gitdir: \0",
        b"\xff\xfe",
        b"gitdir: .",
        b"gitdir: /",
        b"x" * 10_000,
    ],
)
def test_a_file_that_names_no_worktree(tmp_path: Path, text: bytes) -> None:
    (tmp_path / ".git").write_bytes(text)
    assert look(tmp_path) == Worktree(tmp_path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".git")
    assert look(tmp_path) == Worktree(tmp_path)
    os.unlink(tmp_path / ".git")
    own = tmp_path / "own"
    own.mkdir()
    for name in ("commondir", "HEAD"):
        os.mkfifo(own / name)
    (tmp_path / ".git").write_text("gitdir: own\n")
    assert look(tmp_path) == Worktree(tmp_path)


@pytest.mark.parametrize(
    ("branch", "words"),
    [("fix-ui", "fix-ui"), ("fix/ui", "fix-ui"), ("Feature/ABC_1.2", "feature-abc-1-2"), ("-x-", "x")],
)
def test_a_branch_is_a_label(branch: str, words: str) -> None:
    assert label(branch) == words


def test_what_is_lost_is_made_up_for() -> None:
    branches = ["fix-é", "fix-è", "日本", "é", "b" * 70, "b" * 71, "fix", "..."]
    assert len({label(branch) for branch in branches}) == len(branches)


@steady
@given(st.text(min_size=1))
def test_every_branch_is_a_label(branch: str) -> None:
    found = label(branch)
    assert 0 < len(found) <= 63
    assert found.strip("-") == found
    assert found.isascii()
    assert found.replace("-", "a").isalnum()
    assert found == found.lower()
