#!/bin/sh
# Lends this machine to the fabric at @URL@: finds Python @PYTHON@, installs the agent into an environment of its own, joins.
#   curl -fsSL @URL@/join | sh -s -- --token fjt_…
set -eu
url='@URL@'
for name in python@PYTHON@ python3 python; do
    if command -v "$name" >/dev/null 2>&1 && [ "$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = '@PYTHON@' ]; then
        python=$name
        break
    fi
done
if [ -z "${python:-}" ]; then
    echo "This fabric runs Python @PYTHON@, and this machine has none. Install it (with venv), then run this line again." >&2
    exit 1
fi
program=$(curl -fsSL ${FABRIC_CURL_OPTIONS:-} "$url/join/install.py")
exec "$python" -c "$program" --url "$url" "$@" </dev/null
