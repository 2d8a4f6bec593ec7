#!/bin/sh
# venv.sh FOLDER EXTRA
# Makes the virtual environment FOLDER where it is missing or broken, and installs this checkout into it, editable,
# with EXTRA's tools.  The C parts are compiled again, which takes a minute: make calls this where one has changed.
set -eu
folder=$1 extra=$2
python=$(sh tests/bootstrap.sh)
if ! "$folder/bin/python" -c pass 2>/dev/null; then
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "setuptools>=77" "cython>=3.1"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable ".[$extra]"
# Programs of ours start without compiling their Python again; the tests write none of it, as root would own it then.
"$folder/bin/python" -m compileall -q locald
