# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is read by the scripts that source this
# Calls of the aws command, and what its failures mean. Knows nothing of ECR or EKS.

# The pager of aws CLI 2 would wait for a key.
export AWS_PAGER=""

AWS_OUT=""
AWS_ERR=""

# use_aws REGION PROFILE: settles both for every later call. Empty: what the environment and ~/.aws/config say.
use_aws() {
  local region=$1 profile=$2
  need_command aws "install the AWS CLI (https://aws.amazon.com/cli/, or: pip install awscli)"
  if [ -n "$profile" ]; then
    export AWS_PROFILE=$profile
  fi
  AWS_REGION=${region:-${AWS_REGION:-${AWS_DEFAULT_REGION:-}}}
  if [ -z "$AWS_REGION" ]; then
    AWS_REGION=$(aws configure get region 2>/dev/null || true)
  fi
  [ -n "$AWS_REGION" ] || die "$EXIT_USAGE" "no AWS region is set" \
    "name the cluster's region: --region eu-central-1, or AWS_REGION, or aws configure set region"
  case $AWS_REGION in
    *[!a-z0-9-]* | -* | *-) die "$EXIT_USAGE" "'$AWS_REGION' is not the name of an AWS region" \
      "it looks like eu-central-1; an availability zone (eu-central-1a) is not meant" ;;
    *-[0-9][a-z]) die "$EXIT_USAGE" "'$AWS_REGION' is an availability zone" \
      "the region is ${AWS_REGION%?}" ;;
  esac
  export AWS_REGION
  # aws CLI 1 reads only this name.
  export AWS_DEFAULT_REGION=$AWS_REGION
}

# aws_try ARGS...: standard output in AWS_OUT, standard error in AWS_ERR, the exit code returned.
aws_try() {
  local code=0
  AWS_OUT=$(aws "$@" 2>"$SCRATCH/aws.err") || code=$?
  AWS_ERR=$(<"$SCRATCH/aws.err")
  return "$code"
}

# aws_die DOING: ends the script, with the reason in AWS_ERR and its remedy. DOING completes "could not ...".
aws_die() {
  local doing=$1 reason
  reason=$(printf '%s' "$AWS_ERR" | tr '\n' ' ' | sed 's/^ *//; s/ *$//')
  case $AWS_ERR in
    *"Unable to locate credentials"* | *NoCredentials* | *"Unable to parse config file"* | *"Partial credentials"*)
      die "$EXIT_UNREACHABLE" "could not $doing: $reason" \
        "log in: aws configure, or aws sso login --profile NAME, then --profile NAME" \
        "or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; aws sts get-caller-identity shows who you are" ;;
    *ExpiredToken* | *"Token has expired"* | *"token included in the request is expired"* | *InvalidClientTokenId* | \
      *UnrecognizedClientException* | *SignatureDoesNotMatch* | *InvalidSignature* | *"Error loading SSO Token"*)
      die "$EXIT_UNREACHABLE" "could not $doing: $reason" \
        "the credentials are expired or not valid: log in again (aws sso login, or new keys)" \
        "a machine whose clock is wrong gets the same answer: check date -u" ;;
    *"config profile"*"could not be found"*)
      die "$EXIT_USAGE" "could not $doing: $reason" "aws configure list-profiles shows the profiles there are" ;;
    *AccessDenied* | *"not authorized to perform"* | *UnauthorizedOperation*)
      die "$EXIT_UNREACHABLE" "could not $doing: $reason" \
        "aws sts get-caller-identity shows who you are; that role or user needs the action named above" \
        "docs/how-to/deploy-on-eks.md lists the rights that these scripts need" ;;
    *"Could not connect to the endpoint URL"* | *"Connect timeout"* | *"Name or service not known"*)
      die "$EXIT_UNREACHABLE" "could not $doing: $reason" \
        "is '$AWS_REGION' the right region? A name that does not exist has no endpoint; --region NAME" \
        "otherwise check the network (proxy, VPN, VPC endpoint)" ;;
    *)
      die "$EXIT_FAILED" "could not $doing: ${reason:-aws said nothing}" \
        "run it again: what is done already is not done twice" ;;
  esac
}
