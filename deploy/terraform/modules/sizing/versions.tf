# No provider: this module only computes. terraform init, validate and test work without a network.
terraform {
  required_version = ">= 1.9"
}
