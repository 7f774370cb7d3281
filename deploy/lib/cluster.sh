# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is read by the scripts that source this
# Which cluster is meant, whether it answers, and what kubectl's failures mean. Needs aws.sh. Always with an explicit
# context: without one, kubectl would take whatever the user looked at last.

readonly NAMESPACE=iot-pipeline DEPLOYMENT=iot-producer TOKEN_SECRET=iot-producer-token NODE_LABEL=workload=bench-producer
readonly CLUSTER_OPTIONS="Which cluster:
  --context NAME        a context of your kubeconfig, any Kubernetes; AWS is not asked
  --cluster NAME        an EKS cluster (EKS_CLUSTER); its access is put into your kubeconfig, with
                        aws eks update-kubeconfig. Neither: the only EKS cluster of the region
  --region REGION       AWS region (else AWS_REGION, AWS_DEFAULT_REGION, ~/.aws/config)
  --profile NAME        AWS profile (else AWS_PROFILE)
                        KUBECONFIG is respected: it names the file that is read and written"

KUBE_OUT=""
KUBE_ERR=""
CONTEXT=""

in_cluster() { kubectl --context "$CONTEXT" --request-timeout=20s "$@"; }

# kube_try ARGS...: standard output in KUBE_OUT, standard error in KUBE_ERR, the exit code returned.
kube_try() {
  local code=0
  KUBE_OUT=$(in_cluster "$@" 2>"$SCRATCH/kube.err") || code=$?
  KUBE_ERR=$(<"$SCRATCH/kube.err")
  return "$code"
}

# kube_die DOING: ends the script, with the reason in KUBE_ERR and its remedy. DOING completes "could not ...".
kube_die() {
  local doing=$1 reason
  reason=$(tail -n 3 <<<"$KUBE_ERR" | tr '\n' ' ' | sed 's/ *$//')
  case $KUBE_ERR in
    *"connection refused"* | *"no such host"* | *"i/o timeout"* | *": EOF"* | \
      *"TLS handshake timeout"* | *"deadline exceeded"* | *"no route to host"* | *"Client.Timeout"* | \
      *"connection reset"* | *"was refused"* | *"network is unreachable"*)
      die "$EXIT_UNREACHABLE" "could not $doing: the API server of '$CONTEXT' does not answer: $reason" \
        "is the cluster up? aws eks describe-cluster --name NAME --query cluster.status" \
        "is its endpoint private? Then the VPN, or a machine inside the VPC, is needed" \
        "was it made anew? Then the kubeconfig is old: run again with --cluster NAME" ;;
    *x509* | *certificate*)
      die "$EXIT_UNREACHABLE" "could not $doing: the certificate of '$CONTEXT' is not the one the kubeconfig expects: $reason" \
        "the cluster was made anew, or a proxy is in between: run again with --cluster NAME to fetch its certificate" ;;
    *Unauthorized* | *"You must be logged in"* | *"getting credentials"* | *"provide credentials"*)
      die "$EXIT_UNREACHABLE" "could not $doing: '$CONTEXT' does not know who you are: $reason" \
        "aws sts get-caller-identity shows as whom you ask; log in again if that fails" \
        "EKS: aws eks create-access-entry --cluster-name NAME --principal-arn ARN, then associate-access-policy with" \
        "  AmazonEKSEditPolicy or more for that ARN" ;;
    *Forbidden* | *forbidden*)
      die "$EXIT_UNREACHABLE" "could not $doing: $reason" \
        "kubectl --context $CONTEXT auth can-i --list -n $NAMESPACE shows what you may do" \
        "EKS: associate AmazonEKSEditPolicy with your access entry; to create the namespace, AmazonEKSClusterAdminPolicy" ;;
    *"is being terminated"*)
      die "$EXIT_FAILED" "could not $doing: the namespace $NAMESPACE is still being deleted" \
        "wait until kubectl --context $CONTEXT get namespace $NAMESPACE finds nothing, and run it again" ;;
    *)
      die "$EXIT_FAILED" "could not $doing: ${reason:-kubectl said nothing}" \
        "run it again: what is done already is not done twice" ;;
  esac
}

# choose_context CONTEXT CLUSTER REGION PROFILE: CONTEXT becomes the kubeconfig's context for every later call.
choose_context() {
  local wanted=$1 cluster=$2 region=$3 profile=$4 contexts
  need_command kubectl "install kubectl (https://kubernetes.io/docs/tasks/tools/)"
  if [ -n "$wanted" ]; then
    contexts=$(kubectl config get-contexts -o name 2>/dev/null || true)
    grep -Fxq -- "$wanted" <<<"$contexts" || die "$EXIT_USAGE" \
      "${KUBECONFIG:-~/.kube/config} has no context '$wanted'; it has: $(paste -sd ' ' - <<<"${contexts:-none}")" \
      "take one of these, set KUBECONFIG to the file that has it, or use --cluster NAME for EKS"
    CONTEXT=$wanted
    say "context $CONTEXT of ${KUBECONFIG:-~/.kube/config}"
    return
  fi
  use_aws "$region" "$profile"
  if [ -z "$cluster" ]; then
    aws_try eks list-clusters --query clusters --output text || aws_die "list the EKS clusters in $AWS_REGION"
    # Words, one a cluster; "None" is how the CLI writes an empty list.
    # shellcheck disable=SC2086
    set -- ${AWS_OUT/#None/}
    case $# in
      0) die "$EXIT_FAILED" "there is no EKS cluster in $AWS_REGION" \
        "name its region with --region, or a context of your kubeconfig with --context" ;;
      1) cluster=$1 ;;
      *) die "$EXIT_USAGE" "there are $# EKS clusters in $AWS_REGION: $*" "say which: --cluster NAME" ;;
    esac
  fi
  add_to_kubeconfig "$cluster"
}

# add_to_kubeconfig CLUSTER: a dry run writes to a copy that is thrown away.
add_to_kubeconfig() {
  local cluster=$1 arn status
  if ! aws_try eks describe-cluster --name "$cluster" --query 'cluster.[arn,status]' --output text; then
    case $AWS_ERR in
      *ResourceNotFoundException*)
        aws_try eks list-clusters --query clusters --output text || AWS_OUT="(not listed: no right to)"
        die "$EXIT_FAILED" "there is no EKS cluster '$cluster' in $AWS_REGION; there is: ${AWS_OUT:-none}" \
          "correct --cluster or --region" ;;
      *) aws_die "look up the EKS cluster '$cluster' in $AWS_REGION" ;;
    esac
  fi
  read -r arn status <<<"$AWS_OUT"
  [ "$status" = ACTIVE ] || [ "$status" = UPDATING ] || die "$EXIT_FAILED" "the EKS cluster '$cluster' is $status" \
    "wait until it is ACTIVE: aws eks wait cluster-active --name $cluster --region $AWS_REGION"
  if [ "$DRY_RUN" = true ]; then
    say "would: put the EKS cluster $cluster ($AWS_REGION) into ${KUBECONFIG:-~/.kube/config}"
    export KUBECONFIG=$SCRATCH/kubeconfig
  fi
  aws_try eks update-kubeconfig --name "$cluster" || aws_die "put the EKS cluster '$cluster' into the kubeconfig"
  CONTEXT=$arn
  say "EKS cluster $cluster in $AWS_REGION, context $CONTEXT"
}

# reach_cluster: ends the script if the API server does not answer, or not to this user.
reach_cluster() {
  kube_try get --raw /version || kube_die "reach the cluster"
}
