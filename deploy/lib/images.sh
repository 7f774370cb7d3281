# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is read by the scripts that source this
# Counts and deletes the images of an ECR repository. Needs aws.sh.

# count_images REPOSITORY: n_images; a repository that is not there has none.
count_images() {
  local repository=$1
  n_images=0
  if aws_try ecr list-images --repository-name "$repository" --query 'imageIds[].imageDigest' --output text; then
    n_images=$(tr '\t' '\n' <<<"$AWS_OUT" | grep '^sha256:' | sort -u | wc -l | tr -d ' ' || true)
    return
  fi
  case $AWS_ERR in
    *RepositoryNotFoundException*) ;;
    *) aws_die "list the images of the ECR repository '$repository' in $AWS_REGION" ;;
  esac
}

# delete_images REPOSITORY: all of them, a hundred a call, as ECR takes them.
delete_images() {
  local repository=$1 before=-1 digests
  while true; do
    count_images "$repository"
    [ "$n_images" -gt 0 ] || break
    # An index keeps its images from being deleted in the same call; the next round has them. No progress is the end.
    [ "$n_images" != "$before" ] || die "$EXIT_FAILED" \
      "ECR keeps $n_images images of '$repository': ${AWS_ERR:-it gave no reason}" \
      "aws ecr describe-images --repository-name $repository shows them"
    before=$n_images
    digests=$(tr '\t' '\n' <<<"$AWS_OUT" | grep '^sha256:' | sort -u | head -n 100 | sed 's/^/imageDigest=/')
    # One word an image.
    # shellcheck disable=SC2086
    aws_try ecr batch-delete-image --repository-name "$repository" --image-ids $digests \
      --query 'failures[].failureReason' --output text || aws_die "delete the images of '$repository'"
    AWS_ERR=$AWS_OUT
  done
  say "the images of $repository are deleted"
}
