# Rate → workers → pods → nodes. Every figure of ours is in figures.tf, every one of EC2 in instance_types.tf.
#
# A node's sustained CPU and network count, not what it can do for some minutes: a load test that slows down when
# credits end measures the wrong thing. Placement (requests against what the kubelet gives) counts too.
locals {
  facts = var.instance_facts != null ? var.instance_facts : lookup(local.instance_types, var.instance_type, null)
  known = local.facts != null
  # So that an unknown type is told by a precondition, not by an error in the middle of a formula.
  node = local.known ? local.facts : local.instance_types["t3.medium"]

  # ---- what a node has ------------------------------------------------------------------------------------------
  sustained_cores = max(0, local.node.vcpu * local.node.cpu_baseline_share - local.system_cores) * var.headroom
  sustained_mbps  = local.node.network_baseline_gbps * 1000 * var.headroom
  # The kubelet's reserve on EKS: CPU 6 % of the first core, 1 % of the second, 0.5 % of two more, 0.25 % of the rest;
  # memory 255 MiB + 11 MiB a possible pod, and 100 MiB before it evicts. Linux itself keeps some 5 % of the memory.
  kubelet_millicores = sum([
    60,
    10 * min(max(local.node.vcpu - 1, 0), 1),
    5 * min(max(local.node.vcpu - 2, 0), 2),
    2.5 * max(local.node.vcpu - 4, 0),
  ])
  placeable_millicores = local.node.vcpu * 1000 - local.kubelet_millicores - local.daemon_millicores
  placeable_mib        = floor(local.node.memory_mib * 0.95) - (255 + 11 * local.node.max_pods) - 100 - local.daemon_mib

  # ---- how much one node carries in one pod, if nobody says what a pod shall send --------------------------------
  mbit_per_message  = local.wire_bytes_per_message * local.tcp_share * 8 / 1000000
  mbps_per_worker   = local.small_block_bytes_s_a_worker * local.tcp_share * 8 / 1000000
  cores_per_message = local.cpu_s_per_million / 1000000

  # With 1, 2, … workers: what CPU and network leave after the fixed share of each worker.
  n_workers                = range(1, local.node.vcpu + 1)
  cpu_carries              = [for w in local.n_workers : (local.sustained_cores - local.pod_cores - w * local.worker_cores) / local.cores_per_message]
  network_carries          = [for w in local.n_workers : (local.sustained_mbps - w * local.mbps_per_worker) / local.mbit_per_message]
  workers_carry            = [for w in local.n_workers : w * local.worker_messages_per_second]
  node_carries             = [for i, w in local.n_workers : floor(min(local.cpu_carries[i], local.network_carries[i], local.workers_carry[i]))]
  node_messages_per_second = max(0, local.node_carries...)

  # ---- pods -----------------------------------------------------------------------------------------------------
  pods_for_nodes = max(var.min_nodes, ceil(var.messages_per_second / max(local.node_messages_per_second, 1)))
  pods_for_rate  = ceil(var.messages_per_second / coalesce(var.messages_per_second_per_pod, var.messages_per_second))
  pods           = var.messages_per_second_per_pod == null ? local.pods_for_nodes : local.pods_for_rate
  # Pods are alike: each sends the same, and together at least what was asked for. Whole numbers, for a Deployment's sake.
  pod_rate = ceil(var.messages_per_second / local.pods)
  workers  = max(1, ceil(local.pod_rate / local.worker_messages_per_second))

  # ---- what a pod takes -----------------------------------------------------------------------------------------
  pod_uses_cores = local.pod_cores + local.workers * local.worker_cores + local.pod_rate * local.cores_per_message
  pod_small_blocks_bytes_s = min(
    local.pod_rate * local.small_block_bytes,
    local.workers * local.small_block_bytes_s_a_worker,
  )
  pod_uses_mbps = local.pod_rate * local.mbit_per_message + local.pod_small_blocks_bytes_s * local.tcp_share * 8 / 1000000
  # The old producer's 500m and 1000m for each worker; the request grows where the load needs more.
  cpu_request_millicores = max(500 * local.workers, ceil(local.pod_uses_cores * 1000 / 0.8 / 50) * 50)
  cpu_limit_millicores   = max(1000 * local.workers, local.cpu_request_millicores)
  memory_request_mib     = local.pod_memory_mib + local.workers * local.worker_memory_mib
  memory_limit_mib       = 2 * local.memory_request_mib

  # ---- nodes ----------------------------------------------------------------------------------------------------
  fits = {
    cpu     = floor(local.sustained_cores / local.pod_uses_cores)
    network = floor(local.sustained_mbps / local.pod_uses_mbps)
    placement = min(
      floor(local.placeable_millicores / local.cpu_request_millicores),
      floor(local.placeable_mib / local.memory_request_mib),
      local.node.max_pods - 3,
    )
  }
  pods_per_node = min(values(local.fits)...)
  nodes         = max(var.min_nodes, ceil(local.pods / max(local.pods_per_node, 1)))
  tightest      = [for name, n in local.fits : name if n == local.pods_per_node][0]
}
