#!/usr/bin/env bash
# Starts the producer on a cluster, and waits until every pod produces.
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
# shellcheck source=deploy/lib/rollout.sh
. "$here/lib/rollout.sh"

usage() {
  cat <<TEXT
Usage: deploy/deploy.sh [OPTIONS]

Starts the producer on EKS, or on any cluster that your kubeconfig knows: namespace $NAMESPACE,
3 pods of 1000 messages a second. Waits until all are ready, that is until the broker confirms
what they send, and shows their status and last log lines.

  deploy/deploy.sh --dry-run                          # what it would change
  deploy/deploy.sh                                    # the only EKS cluster of the region
  deploy/deploy.sh --cluster prod --replicas 5 --rate 2000
  deploy/deploy.sh --context kind-kind                # after kubectl label node NODE $NODE_LABEL

Run again, it changes only what differs. If something fails it says what, and the remedy.

$CLUSTER_OPTIONS

What:
  --replicas N          pods; the file says 3. It is not written to the file: without the option,
                        the next run sets what the file says
  --rate N              messages a second of each pod (MESSAGES_PER_SECOND; the file says 1000); 50k, max
  --token-file FILE     puts the Pulsar token in FILE into the Secret $TOKEN_SECRET; it is not shown
  --manifest FILE       default: producer-deployment.yaml beside this script

Waiting:
  --timeout TIME        give up after so long without progress: 90, 90s, 5m (default), 1h
  --no-wait             apply, and do not wait
  --without-nodes       do not insist on a node with the label $NODE_LABEL (an autoscaler
                        adds it). Pods still wait for one: the file says so

  --dry-run             say what would be changed; change nothing, here or in the cluster
  -h, --help            this text

Exit codes: 0 all pods are ready; 1 they are not, or something is missing; 2 bad usage;
3 AWS or the cluster is unreachable or refuses.
TEXT
}

context="" cluster=${EKS_CLUSTER:-} region="" profile="" replicas="" rate="" token_file="" timeout=5m
wait=true insist_on_nodes=true manifest=$here/producer-deployment.yaml
split_options "$@"
set -- ${ARGUMENTS[@]+"${ARGUMENTS[@]}"}
while [ $# -gt 0 ]; do
  case $1 in
    --context) need_value "$1" $#; context=$2; shift ;;
    --cluster) need_value "$1" $#; cluster=$2; shift ;;
    --region) need_value "$1" $#; region=$2; shift ;;
    --profile) need_value "$1" $#; profile=$2; shift ;;
    --replicas) need_value "$1" $#; replicas=$2; shift ;;
    --rate) need_value "$1" $#; rate=$2; shift ;;
    --token-file) need_value "$1" $#; token_file=$2; shift ;;
    --manifest) need_value "$1" $#; manifest=$2; shift ;;
    --timeout) need_value "$1" $#; timeout=$2; shift ;;
    --no-wait) wait=false ;;
    --without-nodes) insist_on_nodes=false ;;
    --dry-run) DRY_RUN=true ;;
    -h | --help) usage; exit 0 ;;
    *) die_usage "unknown argument '$1'" ;;
  esac
  shift
done
if [ -n "$replicas" ]; then
  [[ $replicas =~ ^[0-9]{1,4}$ ]] || die_usage "--replicas is a number of pods from 0 to 9999, not '$replicas'"
fi
if [ -n "$rate" ]; then
  [[ $rate =~ ^([0-9]+(\.[0-9]+)?[kM]?|max)$ ]] || die_usage "--rate is a number such as 1000 or 50k, or max, not '$rate'"
fi
[[ $timeout =~ ^([0-9]{1,6})(s|m|h)?$ ]] || die_usage "--timeout is a time such as 90s or 5m, not '$timeout'"
timeout_s=${BASH_REMATCH[1]}
case ${BASH_REMATCH[2]} in m) timeout_s=$((timeout_s * 60)) ;; h) timeout_s=$((timeout_s * 3600)) ;; esac
if [ -n "$token_file" ]; then
  [ -r "$token_file" ] || die "$EXIT_USAGE" "cannot read the token file $token_file" "check its name and its rights"
  grep -q '[^[:space:]]' "$token_file" || die "$EXIT_USAGE" "the token file $token_file is empty" \
    "put a token into it: pulsar tokens create --subject iot-producer ..."
fi

scratch_folder

step "1/5  image"
image=$(image_in "$manifest")
if is_placeholder "$image"; then
  die "$EXIT_FAILED" "the image in $manifest is still the placeholder '$image': no node could pull it" \
    "deploy/build-and-push.sh builds it, pushes it, and puts it there"
fi
say "$image"

step "2/5  cluster"
choose_context "$context" "$cluster" "$region" "$profile"
reach_cluster
if [ "$insist_on_nodes" = true ]; then
  check_nodes
fi

step "3/5  namespace and Secret"
if kube_try get namespace "$NAMESPACE" -o name; then
  say "namespace/$NAMESPACE is there"
  has_namespace=true
else
  case $KUBE_ERR in *NotFound* | *"not found"*) ;; *) kube_die "look for the namespace $NAMESPACE" ;; esac
  has_namespace=$([ "$DRY_RUN" = true ] && echo false || echo true)
  create_namespace() {
    printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n' "$NAMESPACE" >"$SCRATCH/namespace.yaml"
    kube_try apply -f "$SCRATCH/namespace.yaml" || kube_die "create the namespace $NAMESPACE"
  }
  perform "create namespace/$NAMESPACE" create_namespace
fi
has_token=false
if [ -n "$token_file" ]; then
  # Two keys, as the manifest wants them: the token, and where the pod finds it.
  tr -d '[:space:]' <"$token_file" >"$SCRATCH/token"
  apply_token() {
    kubectl create secret generic "$TOKEN_SECRET" -n "$NAMESPACE" --from-file=token="$SCRATCH/token" \
      --from-literal=file=/var/run/secrets/pulsar/token --dry-run=client -o yaml |
      # With it, apply would see a change each time.
      sed '/creationTimestamp: null/d' >"$SCRATCH/secret.yaml"
    kube_try apply -f "$SCRATCH/secret.yaml" || kube_die "set the Secret $TOKEN_SECRET"
    say "$KUBE_OUT"
  }
  perform "set secret/$TOKEN_SECRET from $token_file" apply_token
  has_token=true
elif [ "$has_namespace" = true ] && kube_try get secret "$TOKEN_SECRET" -n "$NAMESPACE" -o name; then
  say "secret/$TOKEN_SECRET is there"
  has_token=true
fi

step "4/5  deployment"
# kustomize puts the options in; the user's file stays as it is.
cp "$manifest" "$SCRATCH/producer-deployment.yaml"
{
  printf 'resources: [producer-deployment.yaml]\n'
  if [ -n "$replicas$rate" ] || [ "$has_token" = true ]; then
    printf 'patches:\n  - target: {kind: Deployment, name: %s}\n    patch: |-\n' "$DEPLOYMENT"
    printf '      apiVersion: apps/v1\n      kind: Deployment\n      metadata: {name: %s, namespace: %s}\n      spec:\n' \
      "$DEPLOYMENT" "$NAMESPACE"
    if [ -n "$replicas" ]; then printf '        replicas: %s\n' "$replicas"; fi
    printf '        template:\n'
    # A variable is read when a pod starts: pods that began without the Secret are replaced, because this differs.
    if [ "$has_token" = true ]; then
      printf '          metadata: {annotations: {iot-producer/token-secret: %s}}\n' "$TOKEN_SECRET"
    fi
    printf '          spec:\n            containers:\n              - name: %s\n' "$CONTAINER"
    if [ -n "$rate" ]; then
      printf '                env: [{name: MESSAGES_PER_SECOND, value: "%s"}]\n' "$rate"
    fi
  fi
} >"$SCRATCH/kustomization.yaml"
kubectl kustomize "$SCRATCH" >"$SCRATCH/objects.yaml" 2>"$SCRATCH/kustomize.err" || die "$EXIT_FAILED" \
  "$manifest is not a valid manifest: $(tail -n 1 "$SCRATCH/kustomize.err")" "kubectl kustomize deploy shows it in full"
if [ "$DRY_RUN" = true ]; then
  kube_try apply --dry-run=client -f "$SCRATCH/objects.yaml" || kube_die "compare with the cluster"
  say "$KUBE_OUT"
  step "Nothing was changed (--dry-run)."
  exit 0
fi
kube_try apply -f "$SCRATCH/objects.yaml" || kube_die "apply $manifest"
say "$KUBE_OUT"
if [ "$wait" = false ]; then
  step "Not waited for (--no-wait): kubectl --context $CONTEXT rollout status deployment/$DEPLOYMENT -n $NAMESPACE"
  exit 0
fi

step "5/5  pods"
wait_until_ready "$timeout_s" "$image"
kube_try get pods -n "$NAMESPACE" -l "app=$DEPLOYMENT" -o wide || kube_die "show the pods"
say "${KUBE_OUT:-no pods, as asked for}"
if kube_try logs -n "$NAMESPACE" -l "app=$DEPLOYMENT" -c "$CONTAINER" --tail=3 --prefix --max-log-requests=100; then
  say "$KUBE_OUT"
fi
step "Next:
  kubectl --context $CONTEXT logs -f -n $NAMESPACE -l app=$DEPLOYMENT --max-log-requests=100
  kubectl --context $CONTEXT scale deployment $DEPLOYMENT -n $NAMESPACE --replicas=5
  deploy/cleanup.sh"
