"""rlpersona: a laboratory for persona reinforcement learning on Ray."""
