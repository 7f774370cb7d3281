# 50,000 msg/s: terraform apply -var-file=examples/50k.tfvars (what is not here is as in terraform.tfvars)
#
# The Deployment for it, computed by modules/sizing (terraform output sizing):
#   replicas 2, MESSAGES_PER_SECOND "25000", WORKERS "1", cpu 500m/1000m, memory 256Mi/512Mi
# Expected: 0.4 cores and 103 Mbit/s in all. CPU decides: a t3.medium has 0.4 cores all the time.
instance_type         = "t3.medium"
producer_desired_size = 2

messages_per_second         = 50000
messages_per_second_per_pod = 25000
min_nodes                   = 2
