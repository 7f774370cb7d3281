#!/usr/bin/env bash
# Builds the image, pushes it to ECR, and puts it by digest into producer-deployment.yaml.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
# shellcheck source=deploy/lib/messages.sh
. "$here/lib/messages.sh"
# shellcheck source=deploy/lib/manifest.sh
. "$here/lib/manifest.sh"
# shellcheck source=deploy/lib/sources.sh
. "$here/lib/sources.sh"
# shellcheck source=deploy/lib/registry.sh
. "$here/lib/registry.sh"
# shellcheck source=deploy/lib/aws.sh
. "$here/lib/aws.sh"
# shellcheck source=deploy/lib/ecr.sh
. "$here/lib/ecr.sh"

usage() {
  cat <<'TEXT'
Usage: deploy/build-and-push.sh [OPTIONS]

Builds the image of iot-producer for x86_64, pushes it to your ECR, and puts it, by digest, into
deploy/producer-deployment.yaml. Then deploy/deploy.sh can start it.

  deploy/build-and-push.sh --region eu-central-1 --dry-run    # what it would do
  deploy/build-and-push.sh --region eu-central-1

What it does, in this order; run again, it does only what is not done yet:
  1. takes the files that the Dockerfile copies, as git knows them, and makes the tag from
     their contents: src-<16 digits>. The same sources have the same tag, on every machine.
  2. creates the ECR repository if it is missing, or brings its settings to these: tags
     cannot be moved, each push is scanned, untagged images expire after 14 days and all
     but the last 100 images too.
  3. if the repository does not have the tag: builds, logs in, pushes.
  4. replaces the image of the container iot-producer in the manifest, and nothing else.

Where to:
  --region REGION       AWS region (else AWS_REGION, AWS_DEFAULT_REGION, ~/.aws/config)
  --profile NAME        AWS profile (else AWS_PROFILE)
  --repository NAME     ECR repository (IOT_PRODUCER_REPOSITORY; default: iot-producer)
  --keep-settings       leave the settings of a repository that exists as they are
  --ecr-host HOST       reach ECR under another name than its own, such as a dual-stack or FIPS
                        endpoint (IOT_PRODUCER_ECR_HOST); the manifest has that name too
  --registry HOST[:PORT]
                        another registry instead of ECR (IOT_PRODUCER_REGISTRY), and no AWS: such as
                        localhost:5001. If it asks for a password, set IOT_PRODUCER_REGISTRY_USER
                        and IOT_PRODUCER_REGISTRY_PASSWORD_FILE. http on this machine, https elsewhere

What:
  --builder NAME        docker, podman or buildah (default: the first that works here)
  --build-arg KEY=VALUE as in the Dockerfile: BASE_IMAGE, CPU_TARGET; several times. Part of the tag
  --secret ID_AND_SRC   handed to the builder: id=pip,src=/etc/pip.conf; not part of the tag
  --platform PLATFORM   default linux/amd64, that is x86_64; linux/arm64 is not tried
  --dockerfile FILE     default deploy/docker/Dockerfile; relative to the repository
  --manifest FILE       default deploy/producer-deployment.yaml; relative to the repository
  --allow-dirty         build what is not committed, too. Without it, every uncommitted change is
                        refused, other than this script's own edit of the manifest

  --dry-run             say what would be done; only look, change nothing here or in AWS
  -h, --help            this text

Exit codes: 0 done; 1 it did not work out; 2 bad usage; 3 AWS or the registry is unreachable or refuses.
TEXT
}

region="" profile="" repository=${IOT_PRODUCER_REPOSITORY:-iot-producer} builder="" keep_settings=false
ecr_host=${IOT_PRODUCER_ECR_HOST:-} registry=${IOT_PRODUCER_REGISTRY:-} platform=linux/amd64 allow_dirty=false
dockerfile=deploy/docker/Dockerfile manifest=deploy/producer-deployment.yaml
build_args=() secrets=()
split_options "$@"
set -- ${ARGUMENTS[@]+"${ARGUMENTS[@]}"}
while [ $# -gt 0 ]; do
  case $1 in
    --region) need_value "$1" $#; region=$2; shift ;;
    --profile) need_value "$1" $#; profile=$2; shift ;;
    --repository) need_value "$1" $#; repository=$2; shift ;;
    --registry) need_value "$1" $#; registry=$2; shift ;;
    --ecr-host) need_value "$1" $#; ecr_host=$2; shift ;;
    --builder) need_value "$1" $#; builder=$2; shift ;;
    --platform) need_value "$1" $#; platform=$2; shift ;;
    --dockerfile) need_value "$1" $#; dockerfile=$2; shift ;;
    --manifest) need_value "$1" $#; manifest=$2; shift ;;
    --build-arg)
      need_value "$1" $#
      case $2 in *=*) build_args+=(--build-arg "$2") ;; *) die_usage "--build-arg takes KEY=VALUE, not '$2'" ;; esac
      shift ;;
    --secret) need_value "$1" $#; secrets+=(--secret "$2"); shift ;;
    --keep-settings) keep_settings=true ;;
    --allow-dirty) allow_dirty=true ;;
    --dry-run) DRY_RUN=true ;;
    -h | --help) usage; exit 0 ;;
    *) die_usage "unknown argument '$1'" ;;
  esac
  shift
done
[ -n "$repository" ] || die_usage "--repository is empty"

scratch_folder
need_command git "install git: the image is tagged by what git knows"
case $manifest in /*) manifest_path=$manifest ;; *) manifest_path=$root/$manifest ;; esac

step "1/4  sources"
git -C "$root" rev-parse --verify --quiet HEAD >/dev/null 2>"$SCRATCH/git.err" ||
  die "$EXIT_FAILED" "$root is not a git repository with a commit: $(tail -n 1 "$SCRATCH/git.err")" \
    "clone the repository; a plain copy of its files does not say which commit it is" \
    "of a clone that belongs to another user git says 'dubious ownership': git config --global --add safe.directory $root"
[ -f "$root/$dockerfile" ] || die "$EXIT_USAGE" "there is no $dockerfile in $root" "name it with --dockerfile"
image_before=$(image_in "$manifest_path")
revision=$(git -C "$root" rev-parse HEAD)
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$root/src/iot_producer/__init__.py" 2>/dev/null || true)
dirty=$(uncommitted "$root" "$manifest")
if [ -n "$dirty" ]; then
  if [ "$allow_dirty" = false ]; then
    printf '%s\n' "$dirty" | indented >&2
    die "$EXIT_FAILED" "there are uncommitted changes (above): nobody could tell what is in the image" \
      "commit or stash them, or build them all the same with --allow-dirty"
  fi
  revision=$revision-dirty
fi
list_sources "$root" "$dockerfile" "$allow_dirty"
tag=$(source_tag "$root" "$platform" "$dockerfile" ${build_args[@]+"${build_args[@]}"})
say "$(wc -l <"$SCRATCH/sources" | tr -d ' ') files, tag $tag, commit ${revision:0:12}${dirty:+ with uncommitted changes}"

step "2/4  registry"
if [ -n "$registry" ]; then
  host=$registry
  if [ -n "${IOT_PRODUCER_REGISTRY_USER:-}" ]; then
    REGISTRY_USER=$IOT_PRODUCER_REGISTRY_USER
    [ -r "${IOT_PRODUCER_REGISTRY_PASSWORD_FILE:-}" ] || die "$EXIT_USAGE" \
      "IOT_PRODUCER_REGISTRY_USER is set, but IOT_PRODUCER_REGISTRY_PASSWORD_FILE names no readable file" \
      "put the password, and nothing else, into a file and name it there"
    REGISTRY_PASSWORD=$(<"$IOT_PRODUCER_REGISTRY_PASSWORD_FILE")
  fi
  say "$host/$repository"
else
  use_aws "$region" "$profile"
  aws_try sts get-caller-identity --query Account --output text || aws_die "ask AWS who you are"
  account=$AWS_OUT
  say "AWS account $account, region $AWS_REGION"
  read_repository "$repository"
  case $image_before in
    *".dkr.ecr.$AWS_REGION."* | *".dkr-ecr.$AWS_REGION."*) ;;
    *.dkr.ecr.* | *.dkr-ecr.*) warn "so far the manifest has an image of another region: $image_before" ;;
  esac
  settle_repository "$repository" "$keep_settings"
  host=${ecr_host:-${ECR_URI%%/*}}
  # A dry run has not created it; this is what its address will be.
  host=${host:-$account.dkr.ecr.$AWS_REGION.amazonaws.com}
  if [ "$ECR_EXISTS" = true ]; then say "$host/$repository"; fi
  ecr_log_in
fi

step "3/4  image"
if [ -n "$registry" ] || [ "$ECR_EXISTS" = true ] || [ "$DRY_RUN" = false ]; then
  registry_digest "$host" "$repository" "$tag"
fi
if [ -n "$REGISTRY_DIGEST" ]; then
  say "$repository:$tag is there already: not built, not pushed"
else
  choose_builder "$builder"
  build_it() {
    export_sources "$root" "$SCRATCH/context"
    build_image "$SCRATCH/context/$dockerfile" "$SCRATCH/context" "iot-producer:$tag" "$platform" \
      --label "org.opencontainers.image.revision=$revision" ${version:+--label "org.opencontainers.image.version=$version"} \
      ${build_args[@]+"${build_args[@]}"} ${secrets[@]+"${secrets[@]}"}
  }
  perform "build iot-producer:$tag for $platform with $BUILDER" build_it
  if [ -n "$REGISTRY_USER" ]; then perform "log in to $host as $REGISTRY_USER" log_in "$host"; fi
  perform "push $repository:$tag to $host" push_image "iot-producer:$tag" "$host" "$repository" "$tag"
  if [ "$DRY_RUN" = false ] && [ -z "$REGISTRY_DIGEST" ]; then
    registry_digest "$host" "$repository" "$tag"
    [ -n "$REGISTRY_DIGEST" ] || die "$EXIT_FAILED" "$host took the push, but does not have $repository:$tag" \
      "run it again; if it stays so, somebody or a lifecycle policy deletes it"
  fi
fi

step "4/4  $manifest"
image=$host/$repository@${REGISTRY_DIGEST:-sha256:<the digest, known after the push>}
if [ "$image" = "$image_before" ]; then
  say "has $image already"
else
  perform "image: $image (was $image_before)" set_image "$manifest_path" "$image"
fi
if [ "$DRY_RUN" = true ]; then
  step "Nothing was changed (--dry-run)."
else
  step "Next: deploy/deploy.sh   (and commit $manifest: it says what runs)"
fi
