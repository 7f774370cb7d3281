#!/usr/bin/env bash
# Stops the producer and takes away what deploy.sh and build-and-push.sh made.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lib/messages.sh
. "$here/lib/messages.sh"
# shellcheck source=deploy/lib/manifest.sh
. "$here/lib/manifest.sh"
# shellcheck source=deploy/lib/aws.sh
. "$here/lib/aws.sh"
# shellcheck source=deploy/lib/cluster.sh
. "$here/lib/cluster.sh"
# shellcheck source=deploy/lib/images.sh
. "$here/lib/images.sh"

usage() {
  cat <<TEXT
Usage: deploy/cleanup.sh [OPTIONS]

Deletes the deployment $DEPLOYMENT from the namespace $NAMESPACE, and waits until its pods are
gone: each stops scheduling, waits for the confirmations it lacks, and ends. What they wrote to the topic
stays. Asks before it deletes.

  deploy/cleanup.sh --dry-run            # what it would delete
  deploy/cleanup.sh                      # the deployment
  deploy/cleanup.sh --all --images       # all objects, the Secret, the namespace, the images in ECR

The nodes are Terraform's: set producer_desired_size = 0 in terraform.tfvars, then terraform apply.

$CLUSTER_OPTIONS

What:
  --all                 every object of the manifest, the Secret $TOKEN_SECRET and the namespace too; a
                        namespace with anything else in it is kept, and what is in it is named
  --images              the images in the ECR repository too; the repository stays
  --repository NAME     that repository (IOT_PRODUCER_REPOSITORY; default: iot-producer)
  --manifest FILE       default: producer-deployment.yaml beside this script
  --timeout TIME        how long to wait for the pods to end: 90, 90s, 5m (default)

  -y, --yes             do not ask
  --dry-run             say what would be deleted; delete nothing
  -h, --help            this text

Run again, it finds nothing to do. Exit codes: 0 gone; 1 it did not work out, or the answer was no;
2 bad usage; 3 AWS or the cluster is unreachable or refuses.
TEXT
}

context="" cluster=${EKS_CLUSTER:-} region="" profile="" all=false images=false yes=false timeout=5m
repository=${IOT_PRODUCER_REPOSITORY:-iot-producer} manifest=$here/producer-deployment.yaml
split_options "$@"
set -- ${ARGUMENTS[@]+"${ARGUMENTS[@]}"}
while [ $# -gt 0 ]; do
  case $1 in
    --context) need_value "$1" $#; context=$2; shift ;;
    --cluster) need_value "$1" $#; cluster=$2; shift ;;
    --region) need_value "$1" $#; region=$2; shift ;;
    --profile) need_value "$1" $#; profile=$2; shift ;;
    --repository) need_value "$1" $#; repository=$2; shift ;;
    --manifest) need_value "$1" $#; manifest=$2; shift ;;
    --timeout) need_value "$1" $#; timeout=$2; shift ;;
    --all) all=true ;;
    --images) images=true ;;
    -y | --yes) yes=true ;;
    --dry-run) DRY_RUN=true ;;
    -h | --help) usage; exit 0 ;;
    *) die_usage "unknown argument '$1'" ;;
  esac
  shift
done
[[ $timeout =~ ^[0-9]{1,6}(s|m|h)?$ ]] || die_usage "--timeout is a time such as 90s or 5m, not '$timeout'"
case $timeout in *[0-9]) timeout=${timeout}s ;; esac

scratch_folder
if [ "$all" = true ]; then
  image_in "$manifest" >/dev/null
fi

step "1/3  what is there"
choose_context "$context" "$cluster" "$region" "$profile"
reach_cluster
# What is told, and which of it is deleted one by one.
found=() objects=()
# look_for KIND NAME [OPTIONS...]: adds it to what is found, if it is there.
look_for() {
  local kind=$1 name=$2
  shift 2
  if kube_try get "$kind" "$name" "$@" -o name; then
    found+=("$kind/$name")
  else
    case $KUBE_ERR in *NotFound* | *"not found"*) ;; *) kube_die "look for $kind/$name" ;; esac
  fi
}
look_for deployment "$DEPLOYMENT" -n "$NAMESPACE"
has_namespace=false
if [ "$all" = true ]; then
  look_for secret "$TOKEN_SECRET" -n "$NAMESPACE"
  # All other objects of the manifest, as the cluster has them.
  kube_try get -f "$manifest" --ignore-not-found -o name || case $KUBE_ERR in
    *NotFound* | *"not found"*) ;;
    *) kube_die "look for the objects of $manifest" ;;
  esac
  while IFS= read -r object; do
    case $object in
      "" | deployment.apps/*) ;;
      namespace/*) has_namespace=true ;;
      *)
        found+=("$object")
        objects+=("$object") ;;
    esac
  done <<<"$KUBE_OUT"
  if [ "$has_namespace" = true ]; then found+=("namespace/$NAMESPACE, unless it has anything else in it"); fi
fi
n_images=0
if [ "$images" = true ]; then
  use_aws "$region" "$profile"
  count_images "$repository"
  if [ "$n_images" -gt 0 ]; then found+=("$n_images images in the ECR repository $repository ($AWS_REGION)"); fi
fi
say_about_nodes() {
  step "The nodes stay, and cost money. To remove them: set producer_desired_size = 0 in terraform.tfvars, then
  terraform apply"
}
if [ ${#found[@]} = 0 ]; then
  say "nothing: it is all gone"
  say_about_nodes
  exit 0
fi
printf '  %s\n' "${found[@]}"
if [ "$DRY_RUN" = true ]; then
  step "would: delete these. Nothing was changed (--dry-run)."
  exit 0
fi
if [ "$yes" = false ]; then
  [ -t 0 ] || die "$EXIT_USAGE" "nobody is there to ask whether to delete these" "say so beforehand: --yes"
  read -r -p "Delete these from $CONTEXT? [y/N] " answer || answer=no
  case $answer in
    y | Y | yes) ;;
    *) die "$EXIT_FAILED" "nothing was deleted" ;;
  esac
fi

step "2/3  delete"
# delete ARGS...: waits until it is gone; the wait has a limit of its own, so that kubectl's calls have none.
delete() {
  local code=0
  KUBE_OUT=$(kubectl --context "$CONTEXT" delete --ignore-not-found --timeout="$timeout" "$@" 2>"$SCRATCH/kube.err") || code=$?
  KUBE_ERR=$(<"$SCRATCH/kube.err")
  if [ -n "$KUBE_OUT" ]; then say "$KUBE_OUT"; fi
  [ "$code" = 0 ] && return
  case $KUBE_ERR in
    *"timed out waiting"*) die "$EXIT_FAILED" "after $timeout it is not gone yet: $(tail -n 1 <<<"$KUBE_ERR")" \
      "it is being deleted: wait and run this again; kubectl get pods -n $NAMESPACE shows who still drains" ;;
    *) kube_die "delete $*" ;;
  esac
}
# In the foreground: the deployment is gone only when its pods are.
delete deployment "$DEPLOYMENT" -n "$NAMESPACE" --cascade=foreground
if [ "$all" = true ]; then
  delete secret "$TOKEN_SECRET" -n "$NAMESPACE"
  for object in ${objects[@]+"${objects[@]}"}; do
    delete "$object" -n "$NAMESPACE"
  done
  if [ "$has_namespace" = true ]; then
    kube_try get deployments,statefulsets,daemonsets,cronjobs,jobs,pods,services,persistentvolumeclaims -n "$NAMESPACE" -o name ||
      kube_die "see what else is in $NAMESPACE"
    if [ -n "$KUBE_OUT" ]; then
      say "namespace/$NAMESPACE is kept, it has in it: $(paste -sd ' ' - <<<"$KUBE_OUT")"
      say "  with all that: kubectl --context $CONTEXT delete namespace $NAMESPACE"
    else
      delete namespace "$NAMESPACE"
    fi
  fi
fi

step "3/3  images"
if [ "$n_images" -gt 0 ]; then
  delete_images "$repository"
  say "the manifest still names one of them: deploy/build-and-push.sh pushes it anew"
elif [ "$images" = true ]; then
  say "none in $repository"
else
  say "kept (--images deletes them)"
fi
say_about_nodes
