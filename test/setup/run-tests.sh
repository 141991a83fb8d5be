#!/usr/bin/env bash
# npm test: everything that has to hold, in a fresh clone. Ends with "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/node_modules/.bin:$PATH"

say() { printf '\n== %s\n' "$*"; }
stop() {
  printf 'npm test: %s\n' "$*" >&2
  exit 1
}

# npm writes this file last: without it an installation was never begun, or was interrupted.
if [ ! -e node_modules/.package-lock.json ]; then
  say "npm ci"
  npm ci --no-audit --no-fund
fi
node_version=$(node --version)
node_major=${node_version#v}
node_major=${node_major%%.*}
[ "$node_major" -ge 24 ] || stop "needs Node.js 24 or newer, found $node_version at $(command -v node). On linux-x64 \`npm ci\` brings it."

# shellcheck source=debian-packages.sh
. test/setup/debian-packages.sh
install_debian_packages

say "types"
tsc -p tsconfig.json --noEmit
say "lint"
npm run --silent lint
say "format"
npm run --silent format:check

report=$(mktemp "${TMPDIR:-/tmp}/holdfast-tests.XXXXXX.json")
trap 'rm -f "$report"' EXIT
say "tests"
status=0
vitest run --reporter=default --reporter=json --outputFile.json="$report" "$@" || status=$?
node test/setup/print-totals.ts "$report" || status=1
exit "$status"
