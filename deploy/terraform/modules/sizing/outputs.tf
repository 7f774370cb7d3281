output "pods" {
  description = "Replicas of the Deployment."
  value       = local.pods

  precondition {
    condition     = local.known
    error_message = "nothing is known about ${var.instance_type}: take one of ${join(", ", keys(local.instance_types))}, or give instance_facts."
  }
  precondition {
    condition     = !local.known || local.pods_per_node >= 1
    error_message = "a pod of ${local.pod_rate} msg/s does not fit on a ${var.instance_type} (${local.tightest}: it takes ${format("%.2f", local.pod_uses_cores)} cores and ${format("%.0f", local.pod_uses_mbps)} Mbit/s, the node holds ${format("%.2f", local.sustained_cores)} and ${format("%.0f", local.sustained_mbps)}): lower messages_per_second_per_pod, or take a larger type."
  }
}

output "messages_per_second_per_pod" {
  description = "MESSAGES_PER_SECOND of each pod; times pods it is at least what was asked for."
  value       = local.pod_rate
}

output "workers_per_pod" {
  description = "WORKERS of each pod."
  value       = local.workers
}

output "nodes" {
  description = "producer_desired_size."
  value       = local.nodes
}

output "pods_per_node" {
  description = "Pods that one node carries, and which of cpu, network and placement ends it there."
  value       = { n = local.pods_per_node, tightest = local.tightest }
}

output "pod_resources" {
  description = "requests and limits of the container, as Kubernetes writes them."
  value = {
    requests = { cpu = "${local.cpu_request_millicores}m", memory = "${local.memory_request_mib}Mi" }
    limits   = { cpu = "${local.cpu_limit_millicores}m", memory = "${local.memory_limit_mib}Mi" }
  }
}

output "expected" {
  description = "What all pods together are expected to take: cores, and Mbit/s out of the nodes."
  value = {
    cores = ceil(local.pods * local.pod_uses_cores * 100) / 100
    mbps  = ceil(local.pods * local.pod_uses_mbps)
  }
}
