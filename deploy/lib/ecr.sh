# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is read by the scripts that source this
# The ECR repository: what it is like, and what it should be like. Needs aws.sh.

ECR_POLICY_FILE=$(dirname "${BASH_SOURCE[0]}")/ecr-lifecycle.json

# read_repository NAME: ECR_EXISTS (true, false), ECR_URI, ECR_TAGS, ECR_SCAN, ECR_POLICY as they are now.
read_repository() {
  local name=$1
  ECR_EXISTS=false ECR_URI="" ECR_TAGS="" ECR_SCAN="" ECR_POLICY=""
  if ! aws_try ecr describe-repositories --repository-names "$name" --output text \
    --query 'repositories[0].[repositoryUri,imageTagMutability,imageScanningConfiguration.scanOnPush]'; then
    case $AWS_ERR in
      *RepositoryNotFoundException*) return 0 ;;
      *) aws_die "look up the ECR repository '$name' in $AWS_REGION" ;;
    esac
  fi
  read -r ECR_URI ECR_TAGS ECR_SCAN <<<"$AWS_OUT"
  ECR_EXISTS=true
  if aws_try ecr get-lifecycle-policy --repository-name "$name" --query lifecyclePolicyText --output text; then
    ECR_POLICY=$AWS_OUT
  else
    case $AWS_ERR in
      *LifecyclePolicyNotFoundException*) ;;
      # Who may not read it may not set it either: left alone, and said.
      *AccessDenied*) warn "may not read the lifecycle policy of '$name' (ecr:GetLifecyclePolicy): left as it is"
        ECR_POLICY=unknown ;;
      *) aws_die "read the lifecycle policy of '$name'" ;;
    esac
  fi
}

squeezed() { tr -d '[:space:]'; }

# settle_repository NAME KEEP_SETTINGS: creates the repository, or brings one that exists to what is wanted: tags that cannot be
# moved, a scan of each push, old images expired. Needs read_repository first. Interrupted in between, it goes on from there.
settle_repository() {
  local name=$1 keep_settings=$2 policy
  policy=$(<"$ECR_POLICY_FILE")
  if [ "$ECR_EXISTS" = false ]; then
    perform "create the ECR repository $name in $AWS_REGION (immutable tags, scan on push)" create_repository "$name"
    perform "set its lifecycle policy: untagged images 14 days, the last 100 images" put_policy "$name" "$policy"
    return
  fi
  if [ "$keep_settings" = true ]; then
    return
  fi
  if [ "$ECR_TAGS" != IMMUTABLE ]; then
    perform "set the tags of $name from $ECR_TAGS to IMMUTABLE" settle_with "make the tags of '$name' immutable" \
      ecr put-image-tag-mutability --repository-name "$name" --image-tag-mutability IMMUTABLE
  fi
  if [ "$ECR_SCAN" != True ]; then
    perform "set scan on push of $name" settle_with "set scan on push of '$name'" \
      ecr put-image-scanning-configuration --repository-name "$name" --image-scanning-configuration scanOnPush=true
  fi
  if [ "$ECR_POLICY" != unknown ] && [ "$(squeezed <<<"$ECR_POLICY")" != "$(squeezed <<<"$policy")" ]; then
    perform "set the lifecycle policy of $name: untagged images 14 days, the last 100 images" put_policy "$name" "$policy"
  fi
}

create_repository() {
  local name=$1
  if ! aws_try ecr create-repository --repository-name "$name" --image-tag-mutability IMMUTABLE \
    --image-scanning-configuration scanOnPush=true --query repository.repositoryUri --output text; then
    case $AWS_ERR in
      # Somebody, or an earlier run of this script, was faster.
      *RepositoryAlreadyExistsException*)
        read_repository "$name"
        return ;;
      *InvalidParameterException* | *ValidationException*)
        die "$EXIT_USAGE" "ECR does not take '$name' as the name of a repository: ${AWS_ERR##*: }" \
          "lower-case letters, digits, and - _ . / between them: --repository team/iot-producer" ;;
      *) aws_die "create the ECR repository '$name' in $AWS_REGION" ;;
    esac
  fi
  ECR_URI=$AWS_OUT
}

put_policy() {
  settle_with "set the lifecycle policy of '$1'" \
    ecr put-lifecycle-policy --repository-name "$1" --lifecycle-policy-text "$2"
}

# settle_with DOING ARGS...: one call of aws that changes a setting; who may not do it can leave the settings as they are.
settle_with() {
  local doing=$1
  shift
  if ! aws_try "$@"; then
    case $AWS_ERR in
      *AccessDenied* | *"not authorized to perform"*)
        die "$EXIT_UNREACHABLE" "could not $doing: ${AWS_ERR##*: }" \
          "get that right, or leave the repository's settings as they are: --keep-settings" ;;
      *) aws_die "$doing" ;;
    esac
  fi
}

# ecr_log_in: REGISTRY_USER and REGISTRY_PASSWORD, good for 12 hours.
ecr_log_in() {
  aws_try ecr get-login-password || aws_die "get a password for ECR in $AWS_REGION"
  REGISTRY_USER=AWS
  REGISTRY_PASSWORD=$AWS_OUT
}
