# shellcheck shell=bash
# Which files enter the image, the tag that stands for them, and whether git knows them as they are. Knows no registry.

# copied_by DOCKERFILE: what it takes from the build context, one path (or pattern) a line, relative to the context. COPY and
# ADD without --from, and RUN --mount=type=bind without from. A path with a variable in it counts as the whole context.
copied_by() {
  awk '
    function found(path) {
      if (path ~ /^(https?|git|ssh):/ || path ~ /^git@/ || path ~ /^<</) return
      sub(/^(\.?\/)+/, "", path)
      if (path == "" || path ~ /\$/) path = "."
      print path
    }
    function mount(options,   n, i, part, pair, type, from, source) {
      type = "bind"; from = ""; source = "."
      n = split(options, part, ",")
      for (i = 1; i <= n; i++) {
        split(part[i], pair, "=")
        if (pair[1] == "type") type = pair[2]
        if (pair[1] == "from") from = pair[2]
        if (pair[1] == "source" || pair[1] == "src") source = pair[2]
      }
      if (type == "bind" && from == "") found(source)
    }
    function instruction(text,   n, i, word, first, name) {
      if (text ~ /\[[[:space:]]*"/) gsub(/[][",]/, " ", text)
      n = split(text, word, /[[:space:]]+/)
      i = 1
      if (word[1] == "") i = 2
      name = toupper(word[i])
      for (i++; i <= n && word[i] ~ /^--/; i++) {
        if (name == "RUN" && word[i] ~ /^--mount=/) mount(substr(word[i], 9))
        if (word[i] ~ /^--from=/) return
      }
      if (name != "COPY" && name != "ADD") return
      if (word[n] == "") n--
      for (first = i; first < n; first++) found(word[first])
    }
    /^[[:space:]]*#/ { next }
    {
      text = text $0
      if (text ~ /\\[[:space:]]*$/) { sub(/\\[[:space:]]*$/, " ", text); next }
      instruction(text)
      text = ""
    }' "$1" | sort -u
}

# list_sources ROOT DOCKERFILE ALLOW_DIRTY: into SCRATCH/sources, one path a line: the files that enter the image, the
# Dockerfile and .dockerignore among them. Files that git does not know only if ALLOW_DIRTY is true.
list_sources() {
  local root=$1 dockerfile=$2 allow_dirty=$3 path
  local which=(--cached)
  if [ "$allow_dirty" = true ]; then
    which+=(--others --exclude-standard)
  fi
  printf '%s\n' "$dockerfile" >"$SCRATCH/listed"
  for path in .dockerignore "$dockerfile.dockerignore"; do
    if [ -f "$root/$path" ]; then printf '%s\n' "$path" >>"$SCRATCH/listed"; fi
  done
  copied_by "$root/$dockerfile" >"$SCRATCH/copied"
  while IFS= read -r path; do
    # Not quoted by git: a name with a byte above 127 stays itself.
    git -C "$root" -c core.quotePath=false ls-files "${which[@]}" -- "$path" >"$SCRATCH/found"
    [ -s "$SCRATCH/found" ] || die "$EXIT_FAILED" "$dockerfile copies '$path', but git knows no such file" \
      "git add it and commit, or correct the COPY line"
    cat "$SCRATCH/found" >>"$SCRATCH/listed"
  done <"$SCRATCH/copied"
  if grep -q '^"' "$SCRATCH/listed"; then
    die "$EXIT_FAILED" "a file name has a quote, a tab or a line break in it: $(grep -m1 '^"' "$SCRATCH/listed")" \
      "rename it: the hash of the sources is made of one line per file"
  fi
  # A file deleted but not yet committed is in git's list and not on the disk; it does not enter the image either.
  LC_ALL=C sort -u "$SCRATCH/listed" | while IFS= read -r path; do
    if [ -e "$root/$path" ]; then printf '%s\n' "$path"; fi
  done >"$SCRATCH/sources"
}

# source_tag ROOT WHAT...: the tag that stands for the files of SCRATCH/sources, their modes, their contents, and WHAT (platform,
# build arguments). The same sources have the same tag in every clone; git's own hash needs no other tool.
source_tag() {
  local root=$1 path mode hash
  shift
  {
    printf 'with %s\n' "$@"
    while IFS= read -r path; do
      mode=644
      if [ -x "$root/$path" ]; then mode=755; fi
      printf '%s %s\n' "$mode" "$path"
    done <"$SCRATCH/sources"
    (cd "$root" && git hash-object --no-filters --stdin-paths) <"$SCRATCH/sources"
  } >"$SCRATCH/hashed"
  hash=$(git hash-object --no-filters --stdin <"$SCRATCH/hashed")
  printf 'src-%s\n' "${hash:0:16}"
}

# export_sources ROOT FOLDER: exactly the files of SCRATCH/sources, so that the image holds what its tag says and nothing else.
export_sources() {
  local root=$1 folder=$2
  mkdir -p "$folder"
  tar -C "$root" -cf - -T "$SCRATCH/sources" | tar -xf - -C "$folder"
  # The umask of this machine is none of the image's business.
  chmod -R u+rwX,go+rX,go-w "$folder"
}

# uncommitted ROOT MANIFEST: what differs from the last commit, one line a file; MANIFEST is excepted if only its image
# line differs. So are the settings of Terraform, which change with the number of nodes and enter no image.
uncommitted() {
  local root=$1 manifest=$2
  git -C "$root" status --porcelain -- . ":(exclude)$manifest" ":(exclude)$(next_to "$manifest")" \
    ":(exclude)deploy/terraform"
  if [ -n "$(git -C "$root" status --porcelain -- "$manifest")" ]; then
    if ! git -C "$root" show "HEAD:./$manifest" >"$SCRATCH/committed.yaml" 2>/dev/null ||
      ! without_image "$SCRATCH/committed.yaml" >"$SCRATCH/committed.other" ||
      ! without_image "$root/$manifest" >"$SCRATCH/present.other" ||
      ! cmp -s "$SCRATCH/committed.other" "$SCRATCH/present.other"; then
      printf ' M %s (more than its image line)\n' "$manifest"
    fi
  fi
}
