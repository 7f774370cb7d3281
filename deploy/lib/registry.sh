# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is read by the scripts that source this
# Builds images and talks to image registries: asks for a digest, logs in, pushes. Knows nothing of AWS.

REGISTRY_USER=""
REGISTRY_PASSWORD=""
REGISTRY_DIGEST=""

is_loopback() {
  case $1 in
    localhost | localhost:* | 127.* | '[::1]'*) return 0 ;;
    *) return 1 ;;
  esac
}

# choose_builder WANTED: BUILDER becomes docker, podman or buildah: WANTED, or the first of them that works here.
choose_builder() {
  local wanted=$1 name
  BUILDER=""
  case $wanted in
    "") ;;
    docker | podman | buildah)
      need_command "$wanted" "install it, or leave --builder out to take whichever is there"
      if [ "$wanted" = docker ] && ! docker_answers; then
        die "$EXIT_UNREACHABLE" "docker is here, but its engine does not answer: $(tail -n 1 "$SCRATCH/docker")" \
          "start it (systemctl start docker, or Docker Desktop); your user must be in the group docker" \
          "or --builder podman, --builder buildah"
      fi
      BUILDER=$wanted
      return ;;
    *) die_usage "--builder is docker, podman or buildah, not '$wanted'" ;;
  esac
  for name in docker podman buildah; do
    command -v "$name" >/dev/null 2>&1 || continue
    # A client without an engine builds nothing.
    if [ "$name" = docker ] && ! docker_answers; then continue; fi
    BUILDER=$name
    return
  done
  die "$EXIT_FAILED" "nothing here can build an image: no docker whose engine answers, no podman, no buildah" \
    "install one of them (Debian, Ubuntu: apt install podman), or start Docker"
}

docker_answers() { docker version --format '{{.Server.Version}}' >"$SCRATCH/docker" 2>&1; }

# build_image DOCKERFILE CONTEXT NAME PLATFORM ARGS...: ARGS are further arguments of the builder, such as --build-arg K=V.
build_image() {
  local dockerfile=$1 context=$2 name=$3 platform=$4 code=0
  shift 4
  local command
  case $BUILDER in
    # An attestation would make the image an index of two.
    docker) command=(env BUILDX_NO_DEFAULT_ATTESTATIONS=1 docker build) ;;
    # The OCI form has no place for HEALTHCHECK. Layers: what an interrupted build made is not made again.
    podman) command=(podman build --layers --format docker) ;;
    buildah) command=(buildah bud --layers --format docker) ;;
  esac
  "${command[@]}" --platform "$platform" --file "$dockerfile" --tag "$name" "$@" "$context" \
    >"$SCRATCH/build" 2>&1 || code=$?
  [ "$code" = 0 ] && return
  tail -n 25 "$SCRATCH/build" | indented >&2
  if grep -qiE 'exec format error|no match for platform|does not match the specified platform' "$SCRATCH/build"; then
    die "$EXIT_FAILED" "$BUILDER cannot build for $platform here" \
      "build on a machine of that kind, or install emulation (docker run --privileged tonistiigi/binfmt --install amd64)"
  fi
  if grep -qiE 'no space left' "$SCRATCH/build"; then
    die "$EXIT_FAILED" "the disk is full" "$BUILDER's unused images take space: docker system prune, or buildah rmi --prune"
  fi
  if grep -qiE 'pulling|toomanyrequests|manifest unknown|no such host|connection refused|lookup ' "$SCRATCH/build"; then
    die "$EXIT_FAILED" "$BUILDER could not build the image (exit code $code; its last lines are above)" \
      "if the base image could not be pulled: check the network, log in to its registry, or name a mirror with" \
      "  --build-arg BASE_IMAGE=registry/python:3.11-slim"
  fi
  die "$EXIT_FAILED" "$BUILDER could not build the image (exit code $code; its last lines are above)" \
    "correct what the last lines name and run it again: layers that are done are kept"
}

# registry_digest HOST REPOSITORY TAG: REGISTRY_DIGEST becomes the digest under that tag, or empty if there is none.
registry_digest() {
  local host=$1 repository=$2 tag=$3 scheme=https status code=0 escaped
  local options=(--silent --show-error --head --max-time 30 --output /dev/null --dump-header "$SCRATCH/head")
  if is_loopback "$host"; then
    # As docker does for loopback; and no proxy is on the way to it.
    scheme=http
    options+=(--noproxy '*')
  fi
  need_command curl "install curl: it asks the registry which images it has"
  # What the registry may answer with; without these it converts, and the digest would be another.
  local types=application/vnd.docker.distribution.manifest.v2+json,application/vnd.oci.image.manifest.v1+json
  types+=,application/vnd.docker.distribution.manifest.list.v2+json,application/vnd.oci.image.index.v1+json
  options+=(--header "Accept: $types")
  REGISTRY_DIGEST=""
  # The password goes by standard input: a command line is everybody's to read.
  escaped=${REGISTRY_PASSWORD//\\/\\\\}
  escaped=${escaped//\"/\\\"}
  if [ -n "$REGISTRY_USER" ]; then printf 'user = "%s:%s"\n' "$REGISTRY_USER" "$escaped"; fi |
    curl --config - "${options[@]}" --write-out '%{http_code}' \
      "$scheme://$host/v2/$repository/manifests/$tag" >"$SCRATCH/status" 2>"$SCRATCH/curl.err" || code=$?
  status=$(<"$SCRATCH/status")
  if [ "$code" != 0 ]; then
    die "$EXIT_UNREACHABLE" "the registry $host does not answer: $(tail -n 1 "$SCRATCH/curl.err")" \
      "check the name and the network (proxy, VPN); for ECR also the region"
  fi
  case $status in
    200)
      REGISTRY_DIGEST=$(tr -d '\r' <"$SCRATCH/head" | awk 'tolower($1) == "docker-content-digest:" { print $2 }')
      case $REGISTRY_DIGEST in
        sha256:*) ;;
        *) die "$EXIT_FAILED" "the registry $host does not tell the digest of $repository:$tag" \
          "is that address a registry (Docker Registry HTTP API V2)?" ;;
      esac ;;
    404) ;;
    401 | 403)
      die "$EXIT_UNREACHABLE" "the registry $host refuses to say what $repository has (HTTP $status)" \
        "ECR: the role needs ecr:BatchGetImage on the repository; a token of another account or region is refused too" \
        "another registry: set IOT_PRODUCER_REGISTRY_USER and IOT_PRODUCER_REGISTRY_PASSWORD_FILE" ;;
    *) die "$EXIT_FAILED" "the registry $host answered HTTP $status for $repository:$tag" \
      "try again; if it stays so, look at the registry's own log" ;;
  esac
}

# log_in HOST: hands user and password to the builder, by standard input.
log_in() {
  local host=$1 options=()
  if is_loopback "$host" && [ "$BUILDER" != docker ]; then options=(--tls-verify=false); fi
  printf '%s' "$REGISTRY_PASSWORD" |
    "$BUILDER" login ${options[@]+"${options[@]}"} --username "$REGISTRY_USER" --password-stdin "$host" \
      >"$SCRATCH/login" 2>&1 ||
    die "$EXIT_UNREACHABLE" "$BUILDER could not log in to $host: $(tail -n 1 "$SCRATCH/login")" \
      "ECR: the credentials must be those of the registry's account and region" \
      "a credential helper that is broken says so above: see credsStore in ~/.docker/config.json"
}

# push_image NAME HOST REPOSITORY TAG: pushes the image NAME of this machine. Somebody else's push of the same tag is as good.
push_image() {
  local name=$1 host=$2 repository=$3 tag=$4 code=0
  local target=$host/$repository:$tag options=()
  if [ "$BUILDER" = docker ]; then
    docker tag "$name" "$target" >"$SCRATCH/push" 2>&1 || die "$EXIT_FAILED" \
      "the image was built, but docker does not have it: $(tail -n 1 "$SCRATCH/push")" \
      "a buildx builder of its own keeps its images to itself: docker buildx use default, and run it again"
    docker push "$target" >"$SCRATCH/push" 2>&1 || code=$?
  else
    if is_loopback "$host"; then options=(--tls-verify=false); fi
    "$BUILDER" push ${options[@]+"${options[@]}"} "$name" "docker://$target" >"$SCRATCH/push" 2>&1 || code=$?
  fi
  [ "$code" = 0 ] && return
  if grep -qiE 'immutable|already exists' "$SCRATCH/push"; then
    registry_digest "$host" "$repository" "$tag"
    if [ -n "$REGISTRY_DIGEST" ]; then
      say "another run pushed $tag meanwhile: the same sources"
      return
    fi
  fi
  tail -n 8 "$SCRATCH/push" | indented >&2
  die "$EXIT_UNREACHABLE" "$host refused the push of $repository:$tag (its last lines are above)" \
    "denied, 403: the role needs ecr:InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload, PutImage and" \
    "  BatchCheckLayerAvailability on the repository (docs/how-to/deploy-on-eks.md has the policy)" \
    "401, no basic auth credentials: the login has expired (12 h): run it again" \
    "connection reset, timeout: run it again; layers that arrived are not sent twice"
}
