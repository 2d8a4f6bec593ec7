#!/bin/sh
# machine.sh WHEEL
# A wheel as its user has it, on a machine that is thrown away (a runner): installed into an environment of its own, set up
# through sudo, port 80 bound by the ordinary user, taken away again, and nothing of it left.
# Call it as that user, where sudo asks for no password, with LOCALD_TEST_MACHINE=throwaway.
set -eu
fail() {
    echo "machine.sh: $1" >&2
    exit 1
}
[ "${LOCALD_TEST_MACHINE:-}" = throwaway ] || fail "this sets up the machine itself: say LOCALD_TEST_MACHINE=throwaway"
[ "$(id -u)" != 0 ] || fail "root may bind port 80 anyhow: call this as an ordinary user"
sudo -n true || fail "sudo asks for a password"
wheel=${1:?WHEEL}
case $(uname) in
Darwin) shim=/Library/PrivilegedHelperTools/locald-shim policy=/private/etc/locald ;;
*) shim=/usr/local/libexec/locald/locald-shim policy=/etc/locald ;;
esac
[ ! -e "$shim" ] || fail "$shim is there already"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
bin=$folder/venv/bin
"$bin/python" -m pip install --quiet ${PIP_WORDS:-} "$wheel"

# Many Linux runners let everybody bind port 80; then the helper would not be asked.
before=""
if [ "$(uname)" = Linux ]; then
    before=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)
    sudo sh -c 'echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start'
fi
sudo "$bin/locald-setup" --no-trust
sudo "$bin/locald-setup" --check --no-trust
[ -u "$shim" ] || fail "$shim is not setuid"
cmp "$bin/locald-shim" "$shim" || fail "what was installed is not what the wheel has"
[ ! -u "$bin/locald-shim" ] || fail "the copy that pip installed has the setuid bit"
"$bin/python" -c '
import os, locald
assert os.getuid() != 0
with locald.bind(80) as listener:
    assert listener.getsockname() == ("127.0.0.1", 80), listener
    print("port 80 is bound by uid", os.getuid())
'
sudo "$bin/locald-setup" --uninstall
[ -z "$before" ] || sudo sh -c "echo $before > /proc/sys/net/ipv4/ip_unprivileged_port_start"
for path in "$shim" "$policy"; do
    [ ! -e "$path" ] || mountpoint -q "$path" 2>/dev/null || fail "$path was left behind"
done
"$bin/python" -m pip uninstall --quiet --yes locald
for name in locald locald-setup locald-shim; do
    [ ! -e "$bin/$name" ] || fail "$bin/$name was left behind"
done
echo "set up, bound and taken away: $(basename "$wheel")"
