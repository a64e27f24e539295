#!/usr/bin/env bash
# Tries the README's two commands on a Debian with nothing but its own Python and pip, which let nobody install packages.
#
#     tests/bare_debian.sh [SUITE] [WORDS FOR pytest ...]
#
# It needs root and mmdebstrap. What CA this machine trusts is trusted there: a company's proxy may stand in between.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:-trixie}
shift || true

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git archive --prefix=clone/ --output "$work/clone.tar" HEAD
cat >"$work/inside" <<END
set -eu
python3 -m pip install uv 2>&1 | grep -q externally-managed-environment
cd /clone
python3 server demo
python3 server tests ${*@Q}
END

options=(--variant=apt --include=python3,python3-pip,ca-certificates)
[[ -n ${SSL_CERT_FILE:-} ]] && options+=("--customize-hook=copy-in $SSL_CERT_FILE $(dirname "$SSL_CERT_FILE")")
mmdebstrap "${options[@]}" \
  --customize-hook="tar-in $work/clone.tar /" --customize-hook="copy-in $work/inside /" \
  --customize-hook='chroot "$1" sh /inside' \
  "$suite" /dev/null
