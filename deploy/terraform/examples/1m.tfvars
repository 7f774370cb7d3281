# 1,000,000 msg/s: terraform apply -var-file=examples/1m.tfvars (what is not here is as in terraform.tfvars)
#
# The Deployment for it, computed by modules/sizing (terraform output sizing):
#   replicas 3, MESSAGES_PER_SECOND "333334", WORKERS "1", cpu 500m/1000m, memory 256Mi/512Mi
# Expected: 1.2 cores and 1.8 Gbit/s in all. t3.medium would take 30 nodes: burstable types are for small loads.
# One node would carry it; with three, one that is lost takes a third of the load along instead of all.
# The topic needs partitions, the brokers disks for 0.2 GB/s times their replicas: see docs/how-to/scale.md.
instance_type         = "c6in.large"
producer_desired_size = 3

messages_per_second         = 1000000
messages_per_second_per_pod = 333334
min_nodes                   = 3
