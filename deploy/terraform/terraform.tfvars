# 3,000 msg/s, as in the README of the old producer: 3 nodes, 3 pods of 1000 msg/s. Read without being named:
#
#   export TF_VAR_cluster_name=CLUSTER      # aws eks list-clusters
#   terraform init && terraform apply
#
# No nodes and no bill, everything else kept: producer_desired_size = 0, then terraform apply.
instance_type         = "t3.medium"
producer_desired_size = 3

# Checked against the above, and not more: what the Deployment sends is in producer-deployment.yaml.
# One pod of 1000 msg/s may use as much CPU as a t3.medium has all the time; see docs/how-to/scale.md.
messages_per_second         = 3000
messages_per_second_per_pod = 1000
min_nodes                   = 3
