"""Shared-prefix inference: requests form a radix tree, and each shared token is computed once.

Read in this order:

1. `trie`: token sequences as a radix tree, cut into units that are prefilled together.
2. `attention`: a packed row of units, its tree attention mask, and the attention function that
   transformers calls.
3. `prefill`: the loop that runs a tree unit by unit and caches the KV of shared prefixes.
4. `loglikelihood`: continuations scored by prefill alone.
5. `decode`: the rows of a decode batch; their attention to own and shared KV is merged by
   log-sum-exp.
6. `prefilled`: contexts and drafts as one trie; `drafts`: which of them are worth reading.
7. `generate`: drafts verified, then continuous batching.

`parity_check` proves when a model is loaded that packed attention gives its own log-likelihoods.
"""
