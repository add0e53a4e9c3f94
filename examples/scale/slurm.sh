#!/usr/bin/env bash
# One study as three Slurm jobs: every candidate is trained, shards are answered, one job concludes.
#   bash slurm.sh STUDY SHARDS "CANDIDATE ..." [options of sbatch, such as --gpus=1 --time=2:00:00]
# CANDIDATE are those that are trained here ("" for none). All nodes see study, rows, run folder and
# local models at the same paths; the environment that has `harness` is active, and Slurm passes it
# on. The same command goes on where an earlier one ended: only what is missing is done.
set -euo pipefail
study=$1 shards=$2
read -ra candidates <<< "$3"
shift 3

after=()
if (( ${#candidates[@]} )); then
  trained=$(sbatch --parsable "$@" --job-name=train --array="1-${#candidates[@]}" << JOB
#!/usr/bin/env bash
candidates=(${candidates[*]})
exec harness train "$study" --only "\${candidates[SLURM_ARRAY_TASK_ID - 1]}"
JOB
  )
  after=(--dependency="afterok:$trained" --kill-on-invalid-dep=yes)
fi
scored=$(sbatch --parsable "$@" "${after[@]}" --job-name=score --array="1-$shards" << JOB
#!/usr/bin/env bash
exec harness score "$study"
JOB
)
# whatever a shard that failed has left out is asked by the last job; its exit code is the verdict's
sbatch "$@" --dependency="afterany:$scored" --job-name=conclude << JOB
#!/usr/bin/env bash
exec harness run "$study"
JOB
