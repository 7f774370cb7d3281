# The nodes' role: what EKS asks of a node, and no more. The producer itself has no AWS rights and needs none.
data "aws_partition" "current" {}

data "aws_iam_policy_document" "node_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

locals {
  # PullOnly instead of the usual ReadOnly: a node never lists repositories nor reads scan results.
  node_policies = concat(
    ["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"],
    var.attach_cni_policy ? ["AmazonEKS_CNI_Policy"] : [],
  )
}

resource "aws_iam_role" "node" {
  name_prefix          = "${var.name}-"
  description          = "Nodes of iot-producer in the EKS cluster ${var.cluster_name}"
  assume_role_policy   = data.aws_iam_policy_document.node_trust.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset(local.node_policies)

  role       = aws_iam_role.node.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.value}"
}
