# What was measured of the producer. Where from: docs/how-to/scale.md ("What one pod takes") and benchmarks/README.md.
# Change a figure here only along with the table there; the examples' sizes follow (tests/deploy/test_terraform.py).
locals {
  # CPU, on one AMD EPYC core of 2026 that other work shared.
  cpu_s_per_million = 0.58 # native, from values to receipt: 0.41 on a quiet machine, 0.58 beside other load
  worker_cores      = 0.17 # of each worker beside that: its blocks, whatever is in them; 0.06 since they are made ahead
  pod_cores         = 0.02 # the parent with its endpoint and log

  # A worker passed 600,000 msg/s while broker and other work shared 2 cores, 1,100,000 alone.
  worker_messages_per_second = 500000

  # Bytes out, as the broker counts them: 200 a message in full blocks, 420 where a block has two or three. What small
  # blocks cost beside the 200 never came to more than 0.8 MB/s a worker.
  wire_bytes_per_message       = 200
  small_block_bytes            = 220
  small_block_bytes_s_a_worker = 800000
  tcp_share                    = 1.1 # headers and acknowledgements: 40 bytes on 1,460, and some to spare

  # Memory (PSS of all processes at its peak: 167 MiB with one worker, 294 with two), with room for a broker that stalls.
  pod_memory_mib    = 64
  worker_memory_mib = 192

  # Not ours, not measured: kubelet, container runtime, kube-proxy, VPC CNI and a log shipper on a small node.
  system_cores      = 0.1
  daemon_millicores = 300
  daemon_mib        = 300
}
