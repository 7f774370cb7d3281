output "node_group_name" {
  description = "Name of the node group."
  value       = aws_eks_node_group.producer.node_group_name
}

output "node_role_arn" {
  description = "ARN of the nodes' role."
  value       = aws_iam_role.node.arn
}

output "ecr_repository_url" {
  description = "Where build-and-push.sh pushes to; null when the repository is not Terraform's."
  value       = var.create_ecr_repository ? aws_ecr_repository.producer[0].repository_url : null
}

output "sizing" {
  description = "What the Deployment needs for messages_per_second: replicas, MESSAGES_PER_SECOND, WORKERS, resources; and nodes."
  value = {
    replicas            = module.sizing.pods
    messages_per_second = module.sizing.messages_per_second_per_pod
    workers             = module.sizing.workers_per_pod
    resources           = module.sizing.pod_resources
    nodes               = module.sizing.nodes
    pods_per_node       = module.sizing.pods_per_node
    expected            = module.sizing.expected
  }
}

output "see_nodes" {
  description = "Command that shows the nodes."
  value       = "kubectl get nodes -l workload=bench-producer"
}
