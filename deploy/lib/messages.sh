# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is read by the scripts that source this
# What the scripts of this folder say, and how they end: results on standard output, trouble on standard error, always with
# the remedy. Knows nothing of images or clusters.

# Exit codes, as iot-producer's own: 1 it did not work out, 2 bad usage, 3 a service is unreachable or refused.
readonly EXIT_FAILED=1 EXIT_USAGE=2 EXIT_UNREACHABLE=3

DRY_RUN=${DRY_RUN:-false}

say() { printf '%s\n' "$*"; }

step() { printf '\n%s\n' "$*"; }

warn() { printf 'warning: %s\n' "$*" >&2; }

# die CODE PROBLEM [REMEDY...]: says what is wrong, then each remedy on its own line, and ends.
die() {
  local code=$1 problem=$2 line
  shift 2
  printf 'error: %s\n' "$problem" >&2
  for line in "$@"; do
    printf '  -> %s\n' "$line" >&2
  done
  exit "$code"
}

die_usage() { die "$EXIT_USAGE" "$1" "${0##*/} --help explains the options"; }

# Does something, or says only that it would: perform "what, in words" command args...
perform() {
  local what=$1
  shift
  if [ "$DRY_RUN" = true ]; then
    say "would: $what"
    return 0
  fi
  say "$what"
  "$@"
}

# split_options WORDS: the same words in the array ARGUMENTS, but --option=value as two, --option and value.
split_options() {
  ARGUMENTS=()
  local each
  for each in "$@"; do
    case $each in
      --*=*) ARGUMENTS+=("${each%%=*}" "${each#*=}") ;;
      *) ARGUMENTS+=("$each") ;;
    esac
  done
}

# need_value OPTION ARGUMENTS_LEFT: an option that lacks its value is told by name.
need_value() {
  [ "$2" -ge 2 ] || die_usage "$1 needs a value"
}

need_command() {
  local name=$1 remedy=$2
  command -v "$name" >/dev/null 2>&1 || die "$EXIT_FAILED" "$name is not on the PATH" "$remedy"
}

# scratch_folder: one temporary folder for this run, in SCRATCH, gone when the script ends.
scratch_folder() {
  SCRATCH=$(mktemp -d)
  trap 'rm -rf "$SCRATCH"' EXIT
  # A signal ends the script by its own number, after the trap above.
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

indented() { sed 's/^/    /'; }
