variable "messages_per_second" {
  description = "What all pods together shall send, in records a second."
  type        = number

  validation {
    condition     = var.messages_per_second > 0
    error_message = "messages_per_second must be above 0; for no load at all, set producer_desired_size = 0."
  }
}

variable "messages_per_second_per_pod" {
  description = "What one pod shall send (MESSAGES_PER_SECOND), at most. null: one pod a node, each with its part."
  type        = number
  default     = null

  validation {
    condition     = var.messages_per_second_per_pod == null ? true : var.messages_per_second_per_pod > 0
    error_message = "messages_per_second_per_pod must be above 0, or null."
  }
}

variable "instance_type" {
  description = "Type of the nodes. Its facts are in instance_types.tf; for another type give instance_facts too."
  type        = string
  default     = "t3.medium"
}

variable "instance_facts" {
  description = "Facts of an instance type that instance_types.tf does not know; null: look there."
  type = object({
    vcpu                  = number # as EC2 counts them
    cpu_baseline_share    = number # of each vCPU, that may be used all the time: 1 unless the type is burstable
    memory_mib            = number
    network_baseline_gbps = number # not the "up to" figure: what holds for hours
    max_pods              = number # of EKS with the VPC CNI
  })
  default = null

  validation {
    condition = var.instance_facts == null ? true : alltrue([
      var.instance_facts.vcpu >= 1,
      var.instance_facts.cpu_baseline_share > 0 && var.instance_facts.cpu_baseline_share <= 1,
      var.instance_facts.memory_mib >= 1024,
      var.instance_facts.network_baseline_gbps > 0,
      var.instance_facts.max_pods >= 4,
    ])
    error_message = "instance_facts: vcpu from 1, cpu_baseline_share above 0 up to 1, memory_mib from 1024, network_baseline_gbps above 0, max_pods from 4."
  }
}

variable "min_nodes" {
  description = "Nodes to spread over at least: how much of the load one lost node may take away."
  type        = number
  default     = 2

  validation {
    condition     = var.min_nodes >= 1 && floor(var.min_nodes) == var.min_nodes
    error_message = "min_nodes must be a whole number from 1."
  }
}

variable "headroom" {
  description = "Share of a node's sustained CPU and network that the plan may use; the rest is for catching up after a gap, and for what was measured on another processor."
  type        = number
  default     = 0.7

  validation {
    condition     = var.headroom > 0 && var.headroom <= 1
    error_message = "headroom must be above 0 and at most 1."
  }
}
