# shellcheck shell=bash
# Waits for the pods of the deployment, and says why they do not become ready. Needs cluster.sh.

# How often it looks.
POLL_S=${IOT_PRODUCER_POLL_S:-3}

# check_nodes: ends the script if no node has the label, for then no pod could ever start.
check_nodes() {
  local path='{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.spec.unschedulable}'
  if ! kube_try get nodes -l "$NODE_LABEL" -o "jsonpath={range .items[*]}$path{\"\\n\"}{end}"; then
    case $KUBE_ERR in
      *orbidden*)
        warn "may not look at the nodes: whether one has the label $NODE_LABEL is not known"
        return 0 ;;
      *) kube_die "look for nodes with the label $NODE_LABEL" ;;
    esac
  fi
  local n_nodes=0 n_usable=0 name ready cordoned
  while read -r name ready cordoned; do
    [ -n "$name" ] || continue
    n_nodes=$((n_nodes + 1))
    if [ "$ready" = True ] && [ "$cordoned" != true ]; then n_usable=$((n_usable + 1)); fi
  done <<<"$KUBE_OUT"
  if [ "$n_nodes" = 0 ]; then
    say_no_nodes
    exit "$EXIT_FAILED"
  fi
  say "nodes with the label $NODE_LABEL: $n_nodes, ready for pods: $n_usable"
  if [ "$n_usable" = 0 ]; then
    warn "none of them is ready for pods: kubectl get nodes -l $NODE_LABEL"
  fi
}

say_no_nodes() {
  # In a subshell: it says and does not end the script here.
  (die "$EXIT_FAILED" "no node has the label $NODE_LABEL: the pods could not start anywhere" \
    "look: kubectl get nodes -l $NODE_LABEL" \
    "terraform.tfvars must have producer_desired_size = 3; then: terraform apply" \
    "an autoscaler that adds the first node only for a pod that waits: --without-nodes" \
    "another kind of cluster: kubectl label node NAME $NODE_LABEL") || true
}

# read_deployment: what it wants and has, in DESIRED, UPDATED, AVAILABLE, TOTAL, OBSERVED (true, false), REVISION, REFUSAL.
read_deployment() {
  local generation observed rest path='{.metadata.generation}|{.status.observedGeneration}|{.spec.replicas}'
  path+='|{.status.updatedReplicas}|{.status.availableReplicas}|{.status.replicas}'
  path+='|{.metadata.annotations.deployment\.kubernetes\.io/revision}'
  path+='|{.status.conditions[?(@.type=="ReplicaFailure")].message}'
  kube_try get deployment "$DEPLOYMENT" -n "$NAMESPACE" -o "jsonpath=$path" || kube_die "read the deployment"
  IFS='|' read -r generation observed DESIRED UPDATED AVAILABLE TOTAL REVISION rest <<<"$KUBE_OUT"
  DESIRED=${DESIRED:-1} UPDATED=${UPDATED:-0} AVAILABLE=${AVAILABLE:-0} TOTAL=${TOTAL:-0} REFUSAL=$rest OBSERVED=false
  if [ "${observed:-0}" -ge "$generation" ]; then OBSERVED=true; fi
}

# read_pods: the pods of the newest revision into SCRATCH/pods, one a line:
# name|phase|ready|restarts|waiting reason|last exit code|last reason|scheduled|message
read_pods() {
  local hash="" path status='.status.containerStatuses[?(@.name=="'$CONTAINER'")]'
  path='{.metadata.annotations.deployment\.kubernetes\.io/revision} {.metadata.labels.pod-template-hash}'
  kube_try get replicasets -n "$NAMESPACE" -l "app=$DEPLOYMENT" \
    -o "jsonpath={range .items[*]}$path{\"\\n\"}{end}" || kube_die "read the replica sets"
  hash=$(awk -v wanted="$REVISION" '$1 == wanted { print $2 }' <<<"$KUBE_OUT")
  path='{.metadata.name}|{.status.phase}|{.status.conditions[?(@.type=="Ready")].status}'
  path+="|{$status.restartCount}|{$status.state.waiting.reason}"
  path+="|{$status.lastState.terminated.exitCode}|{$status.lastState.terminated.reason}"
  path+='|{.status.conditions[?(@.type=="PodScheduled")].status}'
  # A pod has one message or the other: it waits for a node, or its container waits.
  path+='|{.status.conditions[?(@.type=="PodScheduled")].message}'"{$status.state.waiting.message}"
  # Pods of older revisions may fail as they like: they are on their way out.
  kube_try get pods -n "$NAMESPACE" -l "app=$DEPLOYMENT${hash:+,pod-template-hash=$hash}" \
    -o "jsonpath={range .items[*]}$path{\"\\n\"}{end}" || kube_die "read the pods"
  printf '%s\n' "$KUBE_OUT" | sed '/^$/d' >"$SCRATCH/pods"
}

# The first pod whose waiting reason matches, as a line of SCRATCH/pods; nothing if there is none.
first_waiting_for() { awk -F'|' -v reason="$1" '$5 ~ reason { print; exit }' "$SCRATCH/pods"; }

# wait_until_ready TIMEOUT_S IMAGE: returns when every pod is ready and no old one is left; says the progress. Ends the
# script as soon as it is certain that waiting does not help, or after TIMEOUT_S without progress.
wait_until_ready() {
  local timeout_s=$1 image=$2 since=$SECONDS progress="" before="" reason="" told=""
  : >"$SCRATCH/pods"
  : >"$SCRATCH/progress"
  while true; do
    read_deployment
    if [ "$OBSERVED" = true ]; then
      if [ "$UPDATED" = "$DESIRED" ] && [ "$AVAILABLE" = "$DESIRED" ] && [ "$TOTAL" = "$DESIRED" ]; then
        say "$AVAILABLE of $DESIRED pods ready"
        return
      fi
      read_pods
      end_if_hopeless "$image"
      progress="$AVAILABLE of $DESIRED pods ready"
      if [ "$UPDATED" != "$DESIRED" ] || [ "$TOTAL" != "$UPDATED" ]; then progress="$progress, $UPDATED of this version"; fi
      progress="$progress$(awk -F'|' '{ n[$5 != "" ? $5 : $2 == "Running" ? "" : $2]++ }
        END { for (r in n) if (r != "") printf "; %d %s", n[r], r }' "$SCRATCH/pods")"
      if [ "$progress" != "$before" ]; then
        say "$progress"
        before=$progress
        # What was there before is no progress: pods that come and go do not keep this waiting for ever.
        if ! grep -Fxq -- "$progress" "$SCRATCH/progress"; then
          printf '%s\n' "$progress" >>"$SCRATCH/progress"
          since=$SECONDS
        fi
      fi
    fi
    # A pod without a node may still get one, from an autoscaler; whoever waits should know for what.
    reason=$(awk -F'|' '$2 == "Pending" && $8 == "False" && $9 != "" { print $1 " waits for a node: " $9; exit }' \
      "$SCRATCH/pods")
    if [ -n "$reason" ] && [ "$reason" != "$told" ]; then
      say "  $reason"
      told=$reason
    fi
    if [ $((SECONDS - since)) -ge "$timeout_s" ]; then
      explain_timeout "$timeout_s"
      exit "$EXIT_FAILED"
    fi
    sleep "$POLL_S"
  done
}

end_if_hopeless() {
  local image=$1 pod name reason code message restarts last
  if [ -n "$REFUSAL" ]; then
    die "$EXIT_FAILED" "the cluster refuses to create pods: $REFUSAL" \
      "a quota or an admission policy of the namespace says no: kubectl describe resourcequota,limitrange -n $NAMESPACE"
  fi
  pod=$(first_waiting_for '^(ImagePullBackOff|InvalidImageName|ErrImageNeverPull)$')
  if [ -n "$pod" ]; then
    IFS='|' read -r name _ _ _ reason _ _ _ message <<<"$pod"
    die "$EXIT_FAILED" "pod $name cannot pull its image ($reason): ${message:-$image}" \
      "is it in the registry? deploy/build-and-push.sh pushes it and puts it into the manifest; then deploy again" \
      "denied: the nodes' role needs AmazonEC2ContainerRegistryPullOnly (or ReadOnly)"
  fi
  pod=$(first_waiting_for '^CrashLoopBackOff$')
  if [ -n "$pod" ]; then
    IFS='|' read -r name _ _ restarts _ code last _ _ <<<"$pod"
    show_log "$name" 12 --previous
    case "$last:$code" in
      OOMKilled:* | *:137)
        set -- "it needs more memory than its limit: raise resources.limits.memory in the manifest, or lower --rate" ;;
      *:2) set -- "exit code 2: a setting is wrong; the last line says which. Settings are in env: in the manifest" ;;
      *:3) set -- "exit code 3: the destination refuses (token, rights, quota, topic terminated); the last line says which" ;;
      *) set -- "the last lines of its log are above; kubectl logs -n $NAMESPACE $name --previous shows all" ;;
    esac
    die "$EXIT_FAILED" "pod $name ends again and again ($restarts restarts, last exit code ${code:-unknown}${last:+, $last})" "$@"
  fi
  pod=$(first_waiting_for '^(CreateContainerConfigError|CreateContainerError|RunContainerError)$')
  if [ -n "$pod" ]; then
    IFS='|' read -r name _ _ _ reason _ _ _ message <<<"$pod"
    die "$EXIT_FAILED" "the container of pod $name cannot be made ($reason): ${message:-no reason is given}" \
      "kubectl describe pod -n $NAMESPACE $name; a Secret or key that is named above but missing: --token-file FILE makes it"
  fi
}

# show_log POD LINES OPTIONS...: the last lines, on standard error; none is no failure.
show_log() {
  local pod=$1 n_lines=$2
  shift 2
  if kube_try logs -n "$NAMESPACE" "$pod" -c "$CONTAINER" --tail="$n_lines" "$@" && [ -n "$KUBE_OUT" ]; then
    printf 'last lines of %s:\n' "$pod" >&2
    printf '%s\n' "$KUBE_OUT" | indented >&2
  fi
}

# explain_timeout TIMEOUT_S: the most likely reason, from the pods' own state. Does not end the script.
explain_timeout() {
  local timeout_s=$1 pod name message
  local summary="after $timeout_s s without progress $AVAILABLE of $DESIRED pods are ready"
  if [ "$OBSERVED" = false ]; then
    (die 1 "$summary: the cluster has not looked at the deployment yet" \
      "its controllers are down or busy: kubectl get events -n $NAMESPACE --sort-by=.lastTimestamp") || true
    return
  fi
  pod=$(awk -F'|' '$2 == "Pending" && $8 == "False" { print; exit }' "$SCRATCH/pods")
  if [ -n "$pod" ]; then
    IFS='|' read -r name _ _ _ _ _ _ _ message <<<"$pod"
    explain_unscheduled "$summary" "$name" "$message"
    return
  fi
  pod=$(awk -F'|' '$5 ~ /ErrImagePull/ { print; exit }' "$SCRATCH/pods")
  if [ -n "$pod" ]; then
    IFS='|' read -r name _ _ _ _ _ _ _ message <<<"$pod"
    (die 1 "$summary: pod $name cannot pull its image: $message" "deploy/build-and-push.sh, then deploy again") || true
    return
  fi
  pod=$(awk -F'|' '$2 == "Pending" { print; exit }' "$SCRATCH/pods")
  if [ -n "$pod" ]; then
    IFS='|' read -r name _ <<<"$pod"
    (die 1 "$summary: pod $name has a node, but its container does not start" \
      "kubectl describe pod -n $NAMESPACE $name: the events at its end say what it waits for (image, volume, network)") || true
    return
  fi
  pod=$(awk -F'|' '$2 == "Running" && $3 != "True" { print; exit }' "$SCRATCH/pods")
  if [ -n "$pod" ]; then
    IFS='|' read -r name _ <<<"$pod"
    explain_not_ready "$summary" "$name"
    return
  fi
  (die 1 "$summary" "kubectl describe deployment $DEPLOYMENT -n $NAMESPACE" \
    "older pods may still drain: run it again, or wait longer (--timeout)") || true
}

explain_unscheduled() {
  local summary=$1 name=$2 message=$3
  set -- "kubectl describe pod -n $NAMESPACE $name shows it in full"
  case $message in
    *"node affinity/selector"* | *"node selector"* | *"no nodes available"*)
      set -- "$@" "nodes with the label? kubectl get nodes -l $NODE_LABEL" \
        "if none: producer_desired_size = 3 in terraform.tfvars, then terraform apply" ;;
  esac
  case $message in
    *"untolerated taint"*)
      set -- "$@" "a node has a taint that the pods do not tolerate; they tolerate $NODE_LABEL:NoSchedule" \
        "look: kubectl describe nodes -l $NODE_LABEL" ;;
  esac
  case $message in
    *Insufficient* | *"Too many pods"*)
      set -- "$@" "the nodes are full: raise producer_desired_size in terraform.tfvars, then terraform apply" \
        "or fewer --replicas, or lower requests in the manifest" ;;
  esac
  (die 1 "$summary: pod $name has no node: ${message:-no reason is given}" "$@") || true
}

explain_not_ready() {
  local summary=$1 name=$2 query
  show_log "$name" 6
  for query in "pods" "svc pulsar-proxy"; do
    # shellcheck disable=SC2086
    if kube_try get $query -n pulsar; then
      printf 'kubectl get %s -n pulsar:\n' "$query" >&2
      printf '%s\n' "${KUBE_OUT:-$KUBE_ERR}" | indented >&2
    else
      printf 'kubectl get %s -n pulsar: %s\n' "$query" "$(tail -n 1 <<<"$KUBE_ERR")" >&2
    fi
  done
  (die 1 "$summary: pod $name runs, but the broker has confirmed nothing within the last seconds" \
    "verify Pulsar is running: kubectl get pods -n pulsar" \
    "check the proxy service: kubectl get svc -n pulsar pulsar-proxy; another broker: PULSAR_URL in the manifest" \
    "check the producer's log (its last lines are above): kubectl logs -n $NAMESPACE $name" \
    "the pods go on trying; they become ready by themselves once the broker confirms") || true
}
