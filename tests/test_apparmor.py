"""The AppArmor profile: the parser takes it, and what it says of files is as narrow as it claims."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import apparmor
import pytest

from locald.paths import POLICY, SHIM

FEATURES = Path("/etc/apparmor.d/abi/3.0")  # what a kernel with all of AppArmor 3.0 can do; this one may do less


def parse(profile: Path) -> subprocess.CompletedProcess[str]:
    parser = shutil.which("apparmor_parser", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not parser or not FEATURES.exists():
        if os.environ.get("CI"):
            pytest.fail("in CI nothing is skipped: apt install apparmor")
        pytest.skip("apparmor_parser 3.0 or later is not installed (apt install apparmor)")
    command = [parser, "--skip-kernel-load", "--skip-cache", f"--kernel-features={FEATURES}", "--warn=all", "--Werror"]
    return subprocess.run([*command, profile], capture_output=True, text=True, check=False)


def test_the_parser_takes_it_without_a_word() -> None:
    done = parse(apparmor.PROFILE)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("old", "new"),
    [("capability setpcap", "capability set_pcap"), ("ports r,", "ports r"), ("inet6 stream", "inet6 streams")],
)
def test_the_parser_would_say_so(old: str, new: str, tmp_path: Path) -> None:
    spoiled = tmp_path / "spoiled"
    text = apparmor.PROFILE.read_text()
    assert old in text
    spoiled.write_text(text.replace(old, new))
    assert parse(spoiled).returncode != 0


def test_it_is_attached_to_the_installed_helper_and_reads_the_policy() -> None:
    assert f"\nprofile locald-shim {SHIM} {{\n" in apparmor.PROFILE.read_text()
    assert apparmor.allowing(SHIM, "mr")
    assert apparmor.allowing(POLICY, "r")
    assert apparmor.allowing(os.path.dirname(POLICY) + "/", "r")


def test_it_starts_nothing_and_writes_to_no_file() -> None:
    for rule in apparmor.rules():
        if rule.kind == "file":
            assert set(rule.access) <= set("mrw"), rule
            assert "w" not in rule.access or rule.object.startswith("/dev/"), rule
            assert "**" not in rule.object, rule


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow", "/etc/passwd", "/etc/ld.so.preload", "/etc/locald/other", "/root/x", "/home/alice/log", "/tmp/evil.so",
        "/proc/self/mem", "/proc/self/exe", "/dev/sda", "/dev/mem", "/dev/pts/ptmx", "/usr/lib/x/y/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libm.so.6", "/usr/local/lib/libc.so.6", "/usr/local/libexec/locald/other",
    ],
)  # fmt: skip
def test_it_knows_no_other_file(path: str) -> None:
    assert not [rule for rule in apparmor.rules() if rule.covers(path)]


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6", "/usr/lib/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libc-2.31.so", "/usr/lib64/glibc-hwcaps/x86-64-v3/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/usr/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1",
        "/usr/lib/riscv64-linux-gnu/ld-linux-riscv64-lp64d.so.1", "/lib/ld-musl-x86_64.so.1", "/lib64/ld-2.28.so",
    ],
)  # fmt: skip
def test_a_dynamic_build_finds_its_libc_on_each_distribution(path: str) -> None:
    assert apparmor.allowing(path, "mr")
