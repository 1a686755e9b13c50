"""The Assistant Axis: activations, role vectors, the axis, drift along it, and steering."""
