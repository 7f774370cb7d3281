# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is read by the scripts that source this
# The image line of the container iot-producer in the deployment's file: read, replaced, left out. Knows no cluster.

readonly CONTAINER=iot-producer

# rewritten FILE IMAGE: prints the file with IMAGE as the image of the container (empty: as it is; "-": left out). Looks in any
# list under a key "containers:" for the item of that name, wherever in the item its image stands. How many there are, and
# the last one's image, go to SCRATCH/images.
rewritten() {
  local file=$1 image=$2
  awk -v image="$image" -v wanted="$CONTAINER" -v count="$SCRATCH/images" '
    function indent_of(text) { match(text, /^ */); return RLENGTH }
    function bare(value) {
      sub(/[[:space:]]+#.*$/, "", value); gsub(/^[[:space:]]+|[[:space:]]+$/, "", value)
      if (value ~ /^".*"$/ || value ~ /^\047.*\047$/) value = substr(value, 2, length(value) - 2)
      return value
    }
    # Ends the item that is being read: its image is ours only now that the name is known.
    function end_item() {
      if (at && name == wanted) { n++; value = bare(rest); if (image != "") replace() }
      at = 0; name = ""
    }
    function replace(   comment) {
      comment = ""
      if (match(rest, /[[:space:]]+#.*$/)) comment = substr(rest, RSTART)
      line[at] = before (image == "-" ? "" : " " image) comment
    }
    # One "key: value" of the item.
    function entry(text, number,   key) {
      key = text; sub(/^[ -]*/, "", key)
      if (key ~ /^name:/) { name = key; sub(/^name:/, "", name); name = bare(name) }
      if (key ~ /^image:/) {
        at = number; before = text; sub(/image:.*$/, "image:", before)
        rest = text; sub(/^[ -]*image:/, "", rest)
      }
    }
    {
      line[NR] = $0
      if ($0 ~ /^[[:space:]]*(#|$)/) next
      indent = indent_of($0)
      if ($0 ~ /^---/) { end_item(); inside = 0; next }
      if (inside) {
        # A list may stand at the same depth as its key.
        is_item = $0 ~ /^ *- /
        if (item < 0 && is_item && indent >= key_indent) item = indent
        if (indent < item || (indent == item && !is_item) || item < 0) { end_item(); inside = 0 }
        else if (indent == item) { end_item(); match($0, /^ *- */); inner = RLENGTH; entry($0, NR); next }
        else if (indent == inner) { entry($0, NR); next }
        else next
      }
      if ($0 ~ /^ *(- )? *containers:[[:space:]]*(#.*)?$/) { inside = 1; key_indent = indent; item = -1 }
    }
    END {
      end_item()
      for (i = 1; i <= NR; i++) print line[i]
      print n + 0 > count
      print value > count
    }' "$file"
}

# image_in FILE: the image of the container, on standard output. Ends the script if there is not exactly one.
image_in() {
  local file=$1 n
  [ -f "$file" ] || die "$EXIT_FAILED" "there is no $file" \
    "git checkout -- it, or name another with --manifest FILE"
  rewritten "$file" "" >/dev/null
  n=$(sed -n 1p "$SCRATCH/images")
  [ "$n" = 1 ] || die "$EXIT_FAILED" "$file has $n containers named $CONTAINER with an image line; one is meant" \
    "restore the file (git checkout -- $file), or put 'image: iot-producer:latest' into that container"
  sed -n 2p "$SCRATCH/images"
}

# without_image FILE: the file, its image's value left out: two such texts are equal if only the image differs.
without_image() { rewritten "$1" -; }

# next_to FILE: the name under which its next version is written.
next_to() { printf '%s/.%s.next\n' "$(dirname "$1")" "$(basename "$1")"; }

# set_image FILE IMAGE: replaces the value and nothing else, at once or not at all.
set_image() {
  local file=$1 image=$2 next
  image_in "$file" >/dev/null
  # Beside the file, so that the move is one step on the same file system; the copy keeps its mode. Always the same name: what
  # an interrupted run left is overwritten, and is no uncommitted change.
  next=$(next_to "$file")
  cp -p "$file" "$next"
  rewritten "$file" "$image" >"$next"
  mv -f "$next" "$file"
}

# is_placeholder IMAGE: true for what the manifest has before build-and-push.sh. Any other name may be one that nodes have or find.
is_placeholder() {
  case $1 in
    "" | *:set-by-build-and-push) return 0 ;;
    *) return 1 ;;
  esac
}
