# Sourced by the command-line tests: a work folder, and checks that end the test with a message.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }

# expect CODE PATTERN COMMAND...: exit code; the last line on stderr is the one error line and matches the pattern.
expect() {
    local code=$1 pattern=$2 got=0; shift 2
    "$@" >"$work/stdout" 2>"$work/stderr" || got=$?
    [ "$got" -eq "$code" ] || fail "exit $got instead of $code: $*: $(cat "$work/stderr")"
    [ "$(grep -c '^medseg: error: ' "$work/stderr")" -eq 1 ] || fail "not one error line: $*: $(cat "$work/stderr")"
    tail -n 1 "$work/stderr" | grep -qE "^medseg: error: .*$pattern" || fail "does not mention $pattern: $*: $(cat "$work/stderr")"
}

succeed() {
    "$@" >"$work/stdout" 2>"$work/stderr" || fail "exit $?: $*: $(cat "$work/stderr")"
}

# no_leftovers FOLDER: no hidden (temporary) file or folder below it.
no_leftovers() {
    local found
    found=$(find "$1" -mindepth 1 -name '.*' 2>/dev/null)
    [ -z "$found" ] || fail "left behind: $found"
}

# wait_for FILE-PATTERN: until a file of that pattern exists, at most 30 s.
wait_for() {
    local i
    for i in $(seq 1 600); do
        compgen -G "$1" >/dev/null && return 0
        sleep 0.05
    done
    fail "$1 did not appear"
}

count() { find "$1" -name "$2" -not -path '*/.*' 2>/dev/null | wc -l; }
has_count() { [ "$(count "$1" "$2")" -eq "$3" ] || fail "$(count "$1" "$2") files $2 in $1 instead of $3: $(find "$1")"; }

# sums FOLDER PATTERN...: names and checksums of the files, to compare runs in different folders.
sums() {
    local folder=$1 pattern; shift
    for pattern in "$@"; do (cd "$folder" && find . -name "$pattern" -not -path '*/.*' -exec cksum {} + | sort -k 3); done
}

fixtures="${MEDSEG_FIXTURES:-$MEDSEG_FIXTURES_DEFAULT}/data"
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
