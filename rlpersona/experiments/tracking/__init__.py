"""A run's rows, shown elsewhere while it works: TensorBoard, Prometheus, W&B, MLflow."""
