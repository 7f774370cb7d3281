data "aws_eks_cluster" "this" {
  name = var.cluster_name
}

locals {
  subnet_ids = length(var.subnet_ids) > 0 ? var.subnet_ids : tolist(data.aws_eks_cluster.this.vpc_config[0].subnet_ids)
  burstable  = can(regex("^t[0-9]", var.instance_type))
}

resource "aws_launch_template" "producer" {
  name_prefix            = "${var.name}-"
  description            = "Nodes of iot-producer"
  update_default_version = true

  # IMDSv2 alone, and one hop: a pod does not get the node's credentials.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = var.disk_gib
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  dynamic "credit_specification" {
    for_each = local.burstable ? [var.cpu_credits] : []

    content {
      cpu_credits = credit_specification.value
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge({ Name = var.name }, var.tags)
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_eks_node_group" "producer" {
  cluster_name    = data.aws_eks_cluster.this.name
  node_group_name = var.name
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = local.subnet_ids
  version         = data.aws_eks_cluster.this.version
  ami_type        = "AL2023_x86_64_STANDARD"
  capacity_type   = var.capacity_type
  instance_types  = [var.instance_type]

  scaling_config {
    desired_size = var.producer_desired_size
    min_size     = min(var.producer_min_size, var.producer_desired_size)
    max_size     = var.producer_max_size
  }

  update_config {
    max_unavailable = 1
  }

  launch_template {
    id      = aws_launch_template.producer.id
    version = aws_launch_template.producer.latest_version
  }

  # producer-deployment.yaml selects and tolerates these; nothing else of the cluster comes here.
  labels = {
    workload = "bench-producer"
  }

  taint {
    key    = "workload"
    value  = "bench-producer"
    effect = "NO_SCHEDULE"
  }

  # Without its rights a node does not join, and on the way out it could not take its network interfaces along.
  depends_on = [aws_iam_role_policy_attachment.node]
}
