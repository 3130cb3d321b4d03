#!/bin/bash
# One run on the nodes of a SLURM job; docs/launching/slurm.md says how to use it.
#   RUN=/shared/runs/cell sbatch docs/launching/slurm.sh nas search experiments/cifar10/amoebanet.yaml --workers 8
#SBATCH --job-name=nas
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-task=4
#SBATCH --time=24:00:00
#SBATCH --output=nas-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120

run=${RUN:?give the run folder, on storage that all nodes share: RUN=/shared/runs/NAME sbatch $0 nas search ...}
export NAS_DATA=${NAS_DATA:-/shared/data}
export RAY_AUTH_MODE=token # of ~/.ray/auth_token; `ray get-auth-token --generate` makes it, once
export RAY_USAGE_STATS_ENABLED=0
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300 # Python starts slowly from shared storage
source "${VENV:-.venv}/bin/activate"

head_ip=$(hostname -I | awk '{print $1}') # the batch script runs on the first node

srun --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    ray symmetric-run --address "$head_ip:${PORT:-6379}" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_PER_TASK:-0}" \
    -- bash docs/launching/start_or_resume.sh "$run" "$@" &
step=$!

# Two minutes before the time is over, back into the queue; the journal and the checkpoints are on disk already.
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1
wait "$step"
