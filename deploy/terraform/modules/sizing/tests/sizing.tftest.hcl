# In modules/sizing: terraform init && terraform test. No provider, no network.

run "the_old_default" {
  variables {
    messages_per_second         = 3000
    messages_per_second_per_pod = 1000
    min_nodes                   = 3
  }

  assert {
    condition     = output.pods == 3 && output.messages_per_second_per_pod == 1000 && output.workers_per_pod == 1
    error_message = "3 pods of 1000 msg/s with one worker"
  }
  assert {
    condition     = output.nodes == 3
    error_message = "3 nodes, as asked for"
  }
  assert {
    condition     = output.pod_resources == { requests = { cpu = "500m", memory = "256Mi" }, limits = { cpu = "1000m", memory = "512Mi" } }
    error_message = "the CPU of the old deployment, the memory that was measured"
  }
}

# By hand: 0.17 + 0.02 cores and 1000 × 0.58/1e6 are 0.19058; 0.2 × 2 − 0.1 times 0.7 are 0.21 cores of a t3.medium.
run "the_cpu_baseline_of_a_t3_bears_one_small_pod" {
  variables {
    messages_per_second         = 3000
    messages_per_second_per_pod = 1000
    min_nodes                   = 1
  }

  assert {
    condition     = output.pods_per_node == { n = 1, tightest = "cpu" } && output.nodes == 3
    error_message = "one pod a node, three nodes even if nobody asks for three"
  }
}

run "several_pods_share_a_node_without_credits" {
  variables {
    messages_per_second         = 3000
    messages_per_second_per_pod = 1000
    instance_type               = "c6i.large"
    min_nodes                   = 1
  }

  # 2000 − 300 − 70 = 1630 millicores to give away, 500 a pod.
  assert {
    condition     = output.pods_per_node == { n = 3, tightest = "placement" } && output.nodes == 1
    error_message = "three pods of 500m on one c6i.large"
  }
}

# By hand: 200 × 1.1 × 8 bits a message are 88 Mbit/s at 50,000, and 0.8 MB/s × 1.1 for each of two workers 14.1 more.
run "fifty_thousand" {
  variables {
    messages_per_second = 50000
  }

  assert {
    condition     = output.pods == 2 && output.nodes == 2 && output.messages_per_second_per_pod == 25000
    error_message = "two pods on two nodes"
  }
  assert {
    condition     = output.expected == { cores = 0.41, mbps = 103 }
    error_message = "two workers and 50,000 × 0.58/1e6 cores; 103 Mbit/s"
  }
}

run "network_ends_it_where_there_is_cpu" {
  variables {
    messages_per_second         = 600000
    messages_per_second_per_pod = 200000
    instance_type               = "c6i.large"
    min_nodes                   = 1
  }

  # 781 × 0.7 = 546.7 Mbit/s; a pod takes 352 + 7.04.
  assert {
    condition     = output.pods_per_node == { n = 1, tightest = "network" } && output.nodes == 3
    error_message = "one pod of 200,000 msg/s on each c6i.large"
  }
}

run "a_million_on_credits" {
  variables {
    messages_per_second = 1000000
  }

  # A node carries floor((0.21 − 0.19) / 0.58e-6) = 34,482.
  assert {
    condition     = output.nodes == 30 && output.pods == 30 && output.messages_per_second_per_pod == 33334
    error_message = "thirty t3.medium"
  }
}

run "a_million" {
  variables {
    messages_per_second = 1000000
    instance_type       = "c6in.large"
  }

  assert {
    condition     = output.nodes == 2 && output.pods == 2 && output.messages_per_second_per_pod == 500000 && output.workers_per_pod == 1
    error_message = "two c6in.large, two pods at what a worker holds"
  }
}

run "above_what_a_worker_holds_there_are_more" {
  variables {
    messages_per_second         = 1000000
    messages_per_second_per_pod = 1000000
    instance_type               = "c6in.xlarge"
    min_nodes                   = 1
  }

  assert {
    condition     = output.workers_per_pod == 2 && output.pods == 1
    error_message = "two workers in one pod"
  }
  assert {
    condition     = output.pod_resources == { requests = { cpu = "1200m", memory = "448Mi" }, limits = { cpu = "2000m", memory = "896Mi" } }
    error_message = "0.94 cores with a fifth to spare, rounded up to 50m; memory of two workers"
  }
}

run "pods_together_send_at_least_what_was_asked_for" {
  variables {
    messages_per_second         = 10000
    messages_per_second_per_pod = 3000
  }

  assert {
    condition     = output.pods == 4 && output.messages_per_second_per_pod == 2500
    error_message = "four pods of 2500 rather than three of 3000 and one of 1000"
  }
}

run "a_trickle" {
  variables {
    messages_per_second = 1
    min_nodes           = 1
  }

  assert {
    condition     = output.pods == 1 && output.nodes == 1 && output.messages_per_second_per_pod == 1 && output.expected.mbps == 1
    error_message = "one pod of one message a second"
  }
}

run "a_type_of_your_own" {
  variables {
    messages_per_second = 100000
    instance_type       = "x9.large"
    instance_facts      = { vcpu = 2, cpu_baseline_share = 1, memory_mib = 4096, network_baseline_gbps = 1, max_pods = 29 }
  }

  assert {
    condition     = output.nodes == 2 && output.messages_per_second_per_pod == 50000
    error_message = "min_nodes decides"
  }
}

run "an_unknown_type" {
  command = plan
  variables {
    messages_per_second = 1000
    instance_type       = "x9.large"
  }
  expect_failures = [output.pods]
}

run "a_pod_too_large_for_the_node" {
  command = plan
  variables {
    messages_per_second         = 300000
    messages_per_second_per_pod = 300000
  }
  expect_failures = [output.pods]
}

run "no_rate" {
  command = plan
  variables {
    messages_per_second = 0
  }
  expect_failures = [var.messages_per_second]
}

run "half_a_node" {
  command = plan
  variables {
    messages_per_second = 1000
    min_nodes           = 1.5
  }
  expect_failures = [var.min_nodes]
}

run "facts_that_cannot_be" {
  command = plan
  variables {
    messages_per_second = 1000
    instance_facts      = { vcpu = 2, cpu_baseline_share = 20, memory_mib = 4096, network_baseline_gbps = 1, max_pods = 29 }
  }
  expect_failures = [var.instance_facts]
}
