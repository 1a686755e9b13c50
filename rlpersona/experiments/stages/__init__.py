"""SFT and DPO in a graph of stages."""
