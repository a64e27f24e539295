#!/usr/bin/env bash
# Before a release: the tests on every Python that we promise, and with the oldest dependencies that we allow.
# Usage: tests/release.sh [--all]    without --all the fast lane; each run has an environment of its own.
set -uo pipefail
cd "$(dirname "$0")/.."

lane="not slow"
[[ ${1:-} == --all ]] && lane=""

# Not `--isolated`: that is in uv's cache, and what runs from a cache does not let itself be installed in a host.
environments=$(mktemp -d)
trap 'rm -rf "$environments"' EXIT

failed=0
try() {
  if ! uv python find --no-project "$1" >/dev/null 2>&1 && ! uv python install "$1" >/dev/null 2>&1; then
    outcomes+=("Python $*: NOT FOUND")
  elif UV_PROJECT_ENVIRONMENT=$environments/${#outcomes[@]} uv run --python "$@" pytest -q -m "$lane"; then
    outcomes+=("Python $*: passed")
    return
  else
    outcomes+=("Python $*: FAILED")
  fi
  failed=1
}

outcomes=()
for version in 3.11 3.12 3.13 3.14; do
  try "$version"
done
try 3.11 --resolution lowest-direct

printf '%s\n' "${outcomes[@]}"
exit "$failed"
