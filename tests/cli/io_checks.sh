# Sourced by the command-line tests of image files: a work folder, and checks that end the test with a message.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fixtures="${MEDSEG_FIXTURES:-$MEDSEG_FIXTURES_DEFAULT}/data"

fail() { echo "FAILED: $*" >&2; exit 1; }

need_fixtures() {
  [ -d "$fixtures/odd" ] || { echo "no fixtures at $fixtures: set MEDSEG_FIXTURES"; exit 77; }
}

# expect_error CODE PATTERN COMMAND...: exit code, one line on stderr that matches the pattern, ignoring case.
expect_error() {
  local code=$1 pattern=$2; shift 2
  "$@" > "$work/stdout" 2> "$work/stderr"
  local got=$?
  [ "$got" -eq "$code" ] || fail "exit $got instead of $code: $*: $(cat "$work/stderr")"
  [ "$(wc -l < "$work/stderr")" -eq 1 ] || fail "not one line on stderr: $*: $(cat "$work/stderr")"
  grep -q '^medseg: error: ' "$work/stderr" || fail "no error line: $(cat "$work/stderr")"
  grep -qiE "$pattern" "$work/stderr" || fail "does not mention $pattern: $(cat "$work/stderr")"
}

# expect_empty FOLDER: no output, whole or partial, hidden or not.
expect_empty() {
  [ -z "$(ls -A "$1")" ] || fail "left behind: $(ls -A "$1")"
}
