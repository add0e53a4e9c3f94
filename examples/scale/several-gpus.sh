#!/usr/bin/env bash
# One machine with several GPUs: each process answers a part of the study on a GPU of its own.
#   bash several-gpus.sh STUDY [PROCESSES]      one for each GPU by default
# The environment that has `harness` is active. Stopped or failed, the same command goes on.
set -euo pipefail
study=$1
processes=${2:-gpu}

harness train "$study"
torchrun --standalone --nproc-per-node "$processes" -m harness score "$study"
harness run "$study"    # merges what they answered, and concludes
