# ---- where -------------------------------------------------------------------------------------------------------

variable "region" {
  description = "AWS region of the cluster; null: AWS_REGION or the profile's."
  type        = string
  default     = null
}

variable "cluster_name" {
  description = "Name of the EKS cluster that exists already and gets the nodes: TF_VAR_cluster_name, or -var."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", var.cluster_name))
    error_message = "cluster_name is no name of an EKS cluster; the names are listed by: aws eks list-clusters."
  }
}

variable "subnet_ids" {
  description = "Subnets for the nodes, best those of the Pulsar brokers' zones; empty: all of the cluster's."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "subnet_ids are written subnet-0123456789abcdef0."
  }
}

# ---- how many nodes, of which kind ---------------------------------------------------------------------------------

variable "producer_desired_size" {
  description = "Nodes for the producer; 0 takes them all away and keeps the rest."
  type        = number
  default     = 3

  validation {
    condition     = var.producer_desired_size >= 0 && floor(var.producer_desired_size) == var.producer_desired_size
    error_message = "producer_desired_size must be a whole number from 0."
  }
  validation {
    condition     = var.producer_desired_size <= var.producer_max_size
    error_message = "producer_desired_size is above producer_max_size: raise that too."
  }
}

variable "producer_min_size" {
  description = "Nodes that an autoscaler of the cluster must leave; never above producer_desired_size."
  type        = number
  default     = 0

  validation {
    condition     = var.producer_min_size >= 0 && floor(var.producer_min_size) == var.producer_min_size
    error_message = "producer_min_size must be a whole number from 0."
  }
}

variable "producer_max_size" {
  description = "Nodes that there may ever be: a bound on the bill."
  type        = number
  default     = 10

  validation {
    condition     = var.producer_max_size >= 1 && floor(var.producer_max_size) == var.producer_max_size
    error_message = "producer_max_size must be a whole number from 1; EKS refuses 0. For no nodes set producer_desired_size = 0."
  }
}

variable "instance_type" {
  description = "Type of the nodes, x86_64 with AVX2; modules/sizing/instance_types.tf has those that were thought through."
  type        = string
  default     = "t3.medium"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9-]+$", var.instance_type))
    error_message = "instance_type is written t3.medium."
  }
  validation {
    condition     = !can(regex("^([a-z]+[0-9]+g[a-z]*|a1)\\.", var.instance_type))
    error_message = "that instance type has Arm processors, and the image is built for x86_64."
  }
}

variable "cpu_credits" {
  description = "For t2, t3 and t3a: unlimited never slows a node down (what is above its baseline over a day is billed), standard never costs more (a node without credits is slow, and a load test with it wrong)."
  type        = string
  default     = "unlimited"

  validation {
    condition     = contains(["unlimited", "standard"], var.cpu_credits)
    error_message = "cpu_credits is unlimited or standard."
  }
}

variable "capacity_type" {
  description = "ON_DEMAND, or SPOT: cheaper, and a node may go with two minutes' notice, which ends its pods' lanes for some seconds."
  type        = string
  default     = "ON_DEMAND"

  validation {
    condition     = contains(["ON_DEMAND", "SPOT"], var.capacity_type)
    error_message = "capacity_type is ON_DEMAND or SPOT."
  }
}

variable "disk_gib" {
  description = "Size of a node's disk. The producer stores nothing; it holds the operating system and images."
  type        = number
  default     = 20

  validation {
    condition     = var.disk_gib >= 20 && floor(var.disk_gib) == var.disk_gib
    error_message = "disk_gib must be a whole number from 20: the node's image needs that."
  }
}

variable "name" {
  description = "Name of the node group, and the beginning of its role's and launch template's."
  type        = string
  default     = "bench-producer"

  validation {
    condition     = can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,36}$", var.name))
    error_message = "name: up to 37 letters, digits, - and _; a role's prefix takes no more."
  }
}

# ---- what the nodes shall carry: checked against producer_desired_size --------------------------------------------

variable "messages_per_second" {
  description = "What all pods together shall send. It changes nothing in the cluster; terraform plan warns when the nodes are too few for it."
  type        = number
  default     = 3000
}

variable "messages_per_second_per_pod" {
  description = "MESSAGES_PER_SECOND of one pod; null: one pod a node, each with its part."
  type        = number
  default     = null
}

variable "min_nodes" {
  description = "Nodes to spread the load over at least, for the sizing."
  type        = number
  default     = 2
}

# ---- image and rights ----------------------------------------------------------------------------------------------

variable "create_ecr_repository" {
  description = "Let Terraform make and own the ECR repository. false: build-and-push.sh makes it. To take one over that is there: true, and terraform import 'aws_ecr_repository.producer[0]' iot-producer"
  type        = bool
  default     = false
}

variable "ecr_repository_name" {
  description = "Name of the ECR repository, as build-and-push.sh --repository."
  type        = string
  default     = "iot-producer"

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.ecr_repository_name))
    error_message = "ecr_repository_name: lower-case letters and digits, with - _ . / between them."
  }
}

variable "ecr_kms_key_arn" {
  description = "KMS key that encrypts the images; null: the key that AWS keeps for ECR (AES256). It cannot be changed later."
  type        = string
  default     = null
}

variable "attach_cni_policy" {
  description = "false where the VPC CNI has a role of its own (IRSA or Pod Identity): nodes then need no right to change network interfaces."
  type        = bool
  default     = true
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the nodes' role, where your organisation asks for one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for everything that is made."
  type        = map(string)
  default     = {}
}
