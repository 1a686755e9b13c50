"""Ray, and nothing else: the cluster, replica pools, resumable jobs. Knows nothing of personas."""
