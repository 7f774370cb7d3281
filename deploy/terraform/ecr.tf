# The same settings as build-and-push.sh gives a repository. The script changes nothing where this came first; where the
# script came first, import it.
resource "aws_ecr_repository" "producer" {
  count = var.create_ecr_repository ? 1 : 0

  name                 = var.ecr_repository_name
  image_tag_mutability = "IMMUTABLE"
  # Images that a cluster may still run are not deleted along with it.
  force_delete = false

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = var.ecr_kms_key_arn == null ? "AES256" : "KMS"
    kms_key         = var.ecr_kms_key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "producer" {
  count = var.create_ecr_repository ? 1 : 0

  repository = aws_ecr_repository.producer[0].name
  policy     = file("${path.module}/../lib/ecr-lifecycle.json")
}
