# Do the nodes carry the load? Computed from measured figures (modules/sizing); decides nothing by itself.
module "sizing" {
  source = "./modules/sizing"

  messages_per_second         = var.messages_per_second
  messages_per_second_per_pod = var.messages_per_second_per_pod
  instance_type               = var.instance_type
  min_nodes                   = var.min_nodes
}

check "enough_nodes" {
  assert {
    condition     = var.producer_desired_size == 0 || var.producer_desired_size >= module.sizing.nodes
    error_message = "${var.producer_desired_size} × ${var.instance_type} are too few for ${var.messages_per_second} msg/s: ${module.sizing.nodes} are needed (${module.sizing.pods_per_node.tightest} ends it there). Set producer_desired_size = ${module.sizing.nodes}, or take a larger instance_type."
  }
}
