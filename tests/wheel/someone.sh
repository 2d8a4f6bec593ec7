#!/bin/sh
# someone.sh FOLDER WHEEL
# machine.sh as an ordinary user whose sudo asks for nothing, in the namespace of tests/namespace.py, where /etc is memory.
# There is no network: FOLDER has the wheels that WHEEL needs.
set -eu
folder=$1 wheel=$2
uid=61009
useradd --uid $uid --home-dir "$folder" --no-create-home --shell /bin/sh locald-wheel
echo 'locald-wheel ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/locald-wheel
chmod 440 /etc/sudoers.d/locald-wheel
python=$(build/venv/bin/python -c 'import sys; print(sys._base_executable)')
exec setpriv --reuid $uid --regid $uid --clear-groups env -i PATH="$PATH" LOCALD_TEST_MACHINE=throwaway PYTHON="$python" \
    PIP_WORDS="--no-index --find-links $folder" PIP_DISABLE_PIP_VERSION_CHECK=1 sh tests/wheel/machine.sh "$wheel"
