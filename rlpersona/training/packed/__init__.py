"""Packed GRPO: several conditions in lockstep on one base, each with its own slice of stacked adapters.

`train.train_packed` is the whole of it. A condition that is trained in a pack asks the same prompts, has
the same adapter at the start and the same loss as one that TRL trains; only its random stream of
completions is another (`rollouts`), as TRL's depends on the order of every draw in the process. With
`lora.dropout` above 0 their distribution is too: TRL's own generation drops while it writes, a pack (as
vLLM) does not.
"""
