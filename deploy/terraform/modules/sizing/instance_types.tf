# Facts about EC2, not measured by us. Sources (2026-11): EC2 User Guide, "Key concepts for burstable performance
# instances" (t3.medium: 24 credits an hour = 20 % of each of 2 vCPU; t3.large: 36 = 30 %); EC2 instance types guide,
# network specifications, "baseline bandwidth" (the API's NetworkCards[].BaselineBandwidthInGbps); EKS max pods =
# ENIs × (addresses of an ENI − 1) + 2. Check a type that you pay for:
#   aws ec2 describe-instance-types --instance-types t3.medium --query 'InstanceTypes[].NetworkInfo.NetworkCards'
# All have AVX2, which the image is compiled for (CPU_TARGET x86-64-v3).
locals {
  instance_types = {
    "t3.medium"    = { vcpu = 2, cpu_baseline_share = 0.2, memory_mib = 4096, network_baseline_gbps = 0.256, max_pods = 17 }
    "t3.large"     = { vcpu = 2, cpu_baseline_share = 0.3, memory_mib = 8192, network_baseline_gbps = 0.512, max_pods = 35 }
    "c6i.large"    = { vcpu = 2, cpu_baseline_share = 1, memory_mib = 4096, network_baseline_gbps = 0.781, max_pods = 29 }
    "c6i.xlarge"   = { vcpu = 4, cpu_baseline_share = 1, memory_mib = 8192, network_baseline_gbps = 1.562, max_pods = 58 }
    "c6i.2xlarge"  = { vcpu = 8, cpu_baseline_share = 1, memory_mib = 16384, network_baseline_gbps = 3.125, max_pods = 58 }
    "c6in.large"   = { vcpu = 2, cpu_baseline_share = 1, memory_mib = 4096, network_baseline_gbps = 3.125, max_pods = 29 }
    "c6in.xlarge"  = { vcpu = 4, cpu_baseline_share = 1, memory_mib = 8192, network_baseline_gbps = 6.25, max_pods = 58 }
    "m6i.large"    = { vcpu = 2, cpu_baseline_share = 1, memory_mib = 8192, network_baseline_gbps = 0.781, max_pods = 29 }
    "c6in.2xlarge" = { vcpu = 8, cpu_baseline_share = 1, memory_mib = 16384, network_baseline_gbps = 12.5, max_pods = 58 }
  }
}
